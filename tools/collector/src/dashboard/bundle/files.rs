// Made by `npm run build` in tools/collector/web.
&[
    Asset {
        path: "/assets/page-4a52c33ebd85.css",
        media_type: "text/css; charset=utf-8",
        gzip: include_bytes!("page-4a52c33ebd85.css.gz"),
    },
    Asset {
        path: "/assets/favicon-639106a7aa1a.svg",
        media_type: "image/svg+xml",
        gzip: include_bytes!("favicon-639106a7aa1a.svg.gz"),
    },
    Asset {
        path: "/assets/feed-24b4c7111976.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: include_bytes!("feed-24b4c7111976.js.gz"),
    },
    Asset {
        path: "/assets/account-6c284836f7db.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: include_bytes!("account-6c284836f7db.js.gz"),
    },
    Asset {
        path: "/assets/page-c7774489bbdb.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: include_bytes!("page-c7774489bbdb.js.gz"),
    },
]
