//! Scripts of OpenWrt's packages, word for word as the distribution's `include/package-pack.mk` writes them: the work is in
//! `default_postinst` and `default_prerm` of the device's `/lib/functions.sh`.

use crate::package::Package;

const SHELL: &str = "#!/bin/sh\n";
const NO_SCRIPT: &str = "[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n";
const FUNCTIONS: &str =
    "[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\n";

/// Scripts of an `.ipk`: name in the control archive, text.
#[must_use]
pub fn of_ipk(package: &Package) -> Vec<(&'static str, String)> {
    let mut scripts = vec![
        ("postinst", format!("{SHELL}{NO_SCRIPT}{FUNCTIONS}default_postinst $0 $@\n")),
        ("prerm", format!("{SHELL}{FUNCTIONS}default_prerm $0 $@\n")),
    ];
    // `default_postinst` runs it.
    if !package.after_install.is_empty() {
        scripts.push(("postinst-pkg", format!("{SHELL}{}", package.after_install)));
    }
    if !package.after_removal.is_empty() {
        scripts.push(("postrm", format!("{SHELL}{}", package.after_removal)));
    }
    scripts
}

/// Scripts of an `.apk`: name of the phase, text.
#[must_use]
pub fn of_apk(package: &Package) -> Vec<(&'static str, String)> {
    let names = format!("export root=\"${{IPKG_INSTROOT}}\"\nexport pkgname=\"{}\"\n", package.name);
    let install = format!(
        "{NO_SCRIPT}{FUNCTIONS}{names}add_group_and_user\ndefault_postinst\n{}",
        package.after_install
    );
    let mut scripts = vec![
        ("post-install", format!("{SHELL}{install}")),
        ("post-upgrade", format!("{SHELL}export PKG_UPGRADE=1\n{install}")),
        ("pre-deinstall", format!("{SHELL}{FUNCTIONS}{names}default_prerm\n")),
    ];
    if !package.after_removal.is_empty() {
        scripts.push(("post-deinstall", format!("{SHELL}{}", package.after_removal)));
    }
    scripts
}
