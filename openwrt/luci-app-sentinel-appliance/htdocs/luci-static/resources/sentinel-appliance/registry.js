'use strict';
'require baseclass';

/* Written by `image registry` from the reference of the settings; do not edit. */
return baseclass.extend({
	sections: [
		{"about":"","kind":"sentinel","name":"main","settings":[
			{"allowed":"1 to 8 names of at most 15 bytes","default":"br-lan","help":"interfaces to capture on; a bridge sees the traffic of all its ports; memory_kib plus ring_kib for each interface and worker must be at most 524288 KiB","name":"interface","restart":true,"type":"list"},
			{"allowed":"1 to 16 networks such as 192.168.0.0/16 or fd00::/8","default":"10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10","help":"home networks; traffic from them to other networks is outbound","name":"home_net","type":"list"},
			{"allowed":"tiny (384), default (2048), full (8192), or 256 to 262144","default":"2048","help":"memory of the analysis tables of all workers together, allocated once at start; by default tiny on a device of 64 MiB or less; memory_kib plus ring_kib for each interface and worker must be at most 524288 KiB","max":262144,"min":256,"name":"memory_kib","restart":true,"type":"number","unit":"KiB","words":["tiny","default","full"]},
			{"allowed":"64 to 65536","default":"1024","help":"capture ring in the kernel, for each interface and worker; by default at most half of the memory of the tables; ring_kib must be a power of two; ring_kib must have room for 8 frames of snap_bytes; memory_kib plus ring_kib for each interface and worker must be at most 524288 KiB","max":65536,"min":64,"name":"ring_kib","restart":true,"type":"number","unit":"KiB"},
			{"allowed":"96 to 65535","default":"1600","help":"bytes of each frame that are analysed; longer frames are cut and counted; ring_kib must have room for 8 frames of snap_bytes","max":65535,"min":96,"name":"snap_bytes","restart":true,"type":"number","unit":"bytes"},
			{"allowed":"content, off","default":"content","help":"content: the kernel cuts bulk traffic to its headers; handshakes, requests, names and leases stay whole","name":"kernel_snap","restart":true,"type":"choice","values":["content","off"]},
			{"allowed":"an expression of tcpdump's filter language of at most 1024 bytes, or empty","help":"only frames that match are analysed, in tcpdump's language; empty matches all; other frames are counted","name":"filter","type":"filter"},
			{"allowed":"1 to 8","default":"1","help":"analysis threads; frames are distributed by source address; memory_kib plus ring_kib for each interface and worker must be at most 524288 KiB","max":8,"min":1,"name":"workers","restart":true,"type":"number","unit":"threads"},
			{"allowed":"0 to 65536","default":"0","help":"newest frames kept in memory for 'sentinel ctl packets', 256 bytes of each; 0 keeps none","max":65536,"min":0,"name":"max_packets","restart":true,"type":"number","unit":"frames"},
			{"allowed":"64 to 1048576","default":"32768","help":"flows that --flows tracks at a time, 168 bytes each; past that, those idle longest are printed early","max":1048576,"min":64,"name":"flow_entries","restart":true,"type":"number","unit":"flows"},
			{"allowed":"1 to 1000","default":"2","help":"longest time that a frame waits in the ring; a shorter one gives alerts sooner, a longer one fewer wake-ups","max":1000,"min":1,"name":"block_timeout_ms","restart":true,"type":"number","unit":"ms"},
			{"allowed":"on, off","default":"on","help":"promiscuous mode: also frames that are not addressed to the interface","name":"promiscuous","restart":true,"type":"switch"},
			{"allowed":"on, off","default":"off","help":"capture also on interfaces that see the same frames or routed packets, such as a bridge and its port, which then count twice","name":"allow_overlap","restart":true,"type":"switch"},
			{"allowed":"1 to 3600","default":"60","help":"an incident without new evidence for this long is closed; incident_update_s must be at most incident_idle_s","max":3600,"min":1,"name":"incident_idle_s","type":"number","unit":"s"},
			{"allowed":"1 to 3600","default":"30","help":"minimum time between two updates of one incident; incident_update_s must be at most incident_idle_s","max":3600,"min":1,"name":"incident_update_s","type":"number","unit":"s"},
			{"allowed":"1 to 1000000","default":"32","help":"incidents of one kind that may open at once; the token bucket gets one more every two seconds; without a token, new sources share one incident","max":1000000,"min":1,"name":"incident_burst","type":"number","unit":"incidents"},
			{"allowed":"0 to 1000000","default":"60","help":"alerts of one kind that the collector gets in 24 hours, half of them about private addresses; the log keeps the others; 0 is no limit","max":1000000,"min":0,"name":"alert_daily_messages","type":"number","unit":"alerts"},
			{"allowed":"up to 16 rules of kind=KIND, source=NETWORK, destination=NETWORK, port=PORT and name=DOMAIN, with + between","help":"behaviour that is expected: findings for which all conditions of a rule hold open no incident, and are counted","name":"allow","type":"list"},
			{"allowed":"an absolute path of at most 255 bytes","default":"/var/lib/sentinel-appliance","help":"directory on flash: keys, enrollment, sealed log; run_dir must not be state_dir","name":"state_dir","restart":true,"type":"path"},
			{"allowed":"an absolute path of at most 80 bytes","default":"/run/sentinel-appliance","help":"directory on a RAM disk: status socket, open log segment; short, because the path of a socket has at most 107 bytes; run_dir must not be state_dir","name":"run_dir","restart":true,"type":"path"},
			{"allowed":"16 to 1024","default":"64","help":"segment size of the sealed log; a segment is kept in RAM until it is full, then written to flash in one piece; log_segment_kib must be a multiple of 4; log_segment_kib times log_segments must be at most 262144 KiB; log_daily_kib must be 0 or at least four times log_segment_kib","max":1024,"min":16,"name":"log_segment_kib","restart":true,"type":"number","unit":"KiB"},
			{"allowed":"3 to 1024","default":"16","help":"segments of the sealed log; the oldest is overwritten, and its records are counted; log_segment_kib times log_segments must be at most 262144 KiB","max":1024,"min":3,"name":"log_segments","restart":true,"type":"number","unit":"segments"},
			{"allowed":"info, low, medium, high, critical","default":"critical","help":"alerts of this severity or above are written to flash immediately","name":"log_flush_severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"0 to 3600","default":"10","help":"alerts of high severity or above are written to flash within this time; 0 leaves them in RAM like all others","max":3600,"min":0,"name":"log_high_severity_flush_s","type":"number","unit":"s"},
			{"allowed":"0 to 1048576","default":"1024","help":"limit of writes to flash in 24 hours; a quarter is for high severity or above, past it alerts stay in RAM; 0 is no limit; log_daily_kib must be 0 or at least four times log_segment_kib","max":1048576,"min":0,"name":"log_daily_kib","type":"number","unit":"KiB"},
			{"allowed":"collector, none, or a public key of 52 base32 characters","default":"collector","help":"public key to which the log is sealed as evidence; only who has its private key reads delivered alerts; collector is the key of the collector, once enrolled","name":"log_evidence_key","type":"key"},
			{"allowed":"on, off","default":"off","help":"keep the key to delivered alerts on the device, so that they can be read here, also by whoever steals it","name":"log_delivered_readable","type":"switch"},
			{"allowed":"1 to 720","default":"24","help":"a segment on flash whose alerts are all delivered is closed at this age, so that its key can be deleted","max":720,"min":1,"name":"log_rotate_hours","type":"number","unit":"hours"},
			{"allowed":"on, off","default":"on","help":"send alerts to the collector, once enrolled","name":"uplink_enabled","type":"switch"},
			{"allowed":"up to 4 of HOST, HOST:PORT and [IPV6]:PORT, each of at most 58 bytes with its port","help":"addresses of the collector instead of that of the enrollment, tried one after the other; its key stays the same","name":"collector_address","type":"list"},
			{"allowed":"0 to 65535","default":"0","help":"port of the collector for addresses without one; 0 is the port of the enrollment","max":65535,"min":0,"name":"collector_port","type":"number","unit":"port"},
			{"allowed":"aesgcm, chachapoly","default":"aesgcm","help":"cipher of the uplink; chachapoly is faster on a CPU without AES instructions; the collector accepts both","name":"uplink_cipher","type":"choice","values":["aesgcm","chachapoly"]},
			{"allowed":"5 to 3600","default":"30","help":"time between two looks at the counters; the collector gets them if losses, alerts or the frame rate have changed, else once in 240 s","max":3600,"min":5,"name":"uplink_telemetry_s","type":"number","unit":"s"},
			{"allowed":"an absolute path of at most 255 bytes, or empty","help":"JSON list of suspicious ports; empty is the built-in list","name":"suspicious_ports_file","type":"path"},
			{"allowed":"an absolute path of at most 255 bytes, or empty","help":"JSON lists of names and addresses; empty is the built-in file","name":"signatures_file","type":"path"},
			{"allowed":"an absolute path of at most 255 bytes, or empty","help":"compiled list of malicious addresses, names, URLs and fingerprints ('sentinel-learn indicators'); empty is none","name":"indicators_file","type":"path"},
			{"allowed":"a name of at most 64 bytes, UID:GID in decimal, or empty","default":"sentinel-appliance","help":"user that the sensor becomes once its rings are open, if it is started as root; empty stays root","name":"user","restart":true,"type":"user"},
			{"allowed":"on, strict, fail, off","default":"on","help":"system calls that the sensor does not need: on: one ends the program, which says its number; strict: the kernel kills it; fail: it fails; off: all calls, and all paths, are allowed","name":"sandbox","restart":true,"type":"choice","values":["on","strict","fail","off"]},
			{"allowed":"an absolute path of at most 255 bytes, or empty","help":"serial device for alerts and, at Enter, the status, such as /dev/ttyS0; no getty may be on it; empty is none","name":"console_device","restart":true,"type":"path"},
			{"allowed":"300 to 4000000","default":"115200","help":"speed of the serial device","max":4000000,"min":300,"name":"console_speed","restart":true,"type":"number","unit":"bits/s"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"alerts of this severity or above are printed on the serial device","name":"console_severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"0 to 100","default":"5","help":"alerts printed on the serial device in a second; further ones are counted there","max":100,"min":0,"name":"console_line_rate","type":"number","unit":"lines/s"},
			{"allowed":"error, warn, info, debug","default":"info","help":"lowest level of messages that are printed","name":"log_level","type":"choice","values":["error","warn","info","debug"]}
		]},
		{"about":"Fires when one source opens flows to many distinct ports within a window, or few of its first contacts with hosts and ports are answered, or it sends packets that nobody sends but to probe. Technique T1046. Defaults: common practice: 15 ports in 10 s is well above what a browser or a resolver does; sequential hypothesis test of Jung et al. (2004).","kind":"detector","name":"port_scan","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 64","default":"15","help":"distinct destination ports of one source that make a scan","max":64,"min":2,"name":"ports","type":"number","unit":"ports"},
			{"allowed":"1 to 3600","default":"10","help":"length of the sliding window","max":3600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"2 to 64","default":"4","help":"failed first contacts, none answered between, that make a scan or a sweep","max":64,"min":2,"name":"failed_contacts","type":"number","unit":"contacts"},
			{"allowed":"1 to 64","default":"3","help":"packets that nobody sends but to probe or to evade that make a scan","max":64,"min":1,"name":"crafted_packets","type":"number","unit":"packets"}
		]},
		{"about":"Fires when one source sends many TCP connection requests (SYN without ACK) within a window, or one destination gets many that are never completed. Technique T1498.001. Defaults: common practice: 40 requests a second for five seconds.","kind":"detector","name":"syn_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 1000000","default":"200","help":"SYN-only packets of one source that make a flood","max":1000000,"min":2,"name":"packets","type":"number","unit":"packets"},
			{"allowed":"1 to 600","default":"5","help":"length of the sliding window","max":600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"10 to 1000000","default":"60","help":"incomplete connection requests a second, of many sources, that one destination may get","max":1000000,"min":10,"name":"victim_rate","type":"number","unit":"packets/s"}
		]},
		{"about":"Fires when one source sends many ICMP or ICMPv6 echo requests within a window (low at most if they are answered), or one destination gets many of many sources. Technique T1498.001. Defaults: common practice: twenty times the rate of ping for five seconds.","kind":"detector","name":"icmp_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 1000000","default":"100","help":"echo requests of one source that make a flood","max":1000000,"min":2,"name":"packets","type":"number","unit":"packets"},
			{"allowed":"1 to 600","default":"5","help":"length of the sliding window","max":600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"10 to 1000000","default":"60","help":"echo requests a second, of many sources, that one destination may get; twice as many replies and errors","max":1000000,"min":10,"name":"victim_rate","type":"number","unit":"packets/s"}
		]},
		{"about":"Fires when a flow is opened to a port that malware is known to use. Technique T1571. Defaults: config/suspicious-ports.json, which names a source for each port.","kind":"detector","name":"suspicious_port","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a station claims an IPv4 address that another holds; low without proof that the claim is forged. Technique T1557.002. Defaults: RFC 826; RFC 5227 section 2.4; virtual router addresses of RFC 9568 section 7.3.","kind":"detector","name":"arp_spoof","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when DNS names and answers carry data; or, at low severity, a query asks for a very long name. Technique T1071.004. Defaults: Ozery, Nadler, Shabtai 2024 (information per registered domain); common practice: 50 characters, without reverse look-ups of IPv6 addresses (72).","kind":"detector","name":"dns_tunnel","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"16 to 253","default":"50","help":"longest name that is not reported, in text form without the final dot","max":253,"min":16,"name":"name_characters","type":"number","unit":"characters"},
			{"allowed":"100 to 1000000","default":"1000","help":"estimated information in names of one client under one registered domain that makes a tunnel; half as much again in records","max":1000000,"min":100,"name":"leaked_bytes","type":"number","unit":"bytes"},
			{"allowed":"0 to 1000000","default":"1440","help":"estimated information that a client may exchange with each registered domain for ever","max":1000000,"min":0,"name":"allowance_bytes_h","type":"number","unit":"bytes per hour"}
		]},
		{"about":"Fires when one host of the home network sends many bytes to external hosts within a window (low at most), or a transfer out of its baseline has a shape that ordinary ones do not have. Technique T1048. Defaults: common practice: 5 MB in a minute; one day of new addresses, measured on simulated households.","kind":"detector","name":"exfiltration","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"1000 to 4294967295","default":"5000000","help":"outbound bytes on the wire of one host of the home network that make an exfiltration","max":4294967295,"min":1000,"name":"bytes","type":"number","unit":"bytes"},
			{"allowed":"1 to 3600","default":"60","help":"length of the sliding window","max":3600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"2 to 10000","default":"24","help":"new external addresses that get a megabyte of one host each, on one port, within a day: an exfiltration spread out","max":10000,"min":2,"name":"addresses","type":"number","unit":"addresses"},
			{"allowed":"1000000 to 4294967295","default":"64000000","help":"outbound bytes within an hour to a new address, of a host that was quiet for a week, that make an exfiltration","max":4294967295,"min":1000000,"name":"quiet_bytes","type":"number","unit":"bytes"}
		]},
		{"about":"Fires when one source opens many connections to one login service of one host within a window (low at most if they work), or its log-ins are refused again and again, at one host or many. Technique T1110. Defaults: common practice: one attempt a second for thirty seconds.","kind":"detector","name":"brute_force","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 10000","default":"30","help":"SYN-only packets from one source to one port of one host that make a brute force","max":10000,"min":2,"name":"attempts","type":"number","unit":"attempts"},
			{"allowed":"1 to 3600","default":"30","help":"length of the sliding window","max":3600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"3 to 10000","default":"20","help":"refused log-ins of one source at one service, without half an hour between two, that make a brute force","max":10000,"min":3,"name":"failures","type":"number","unit":"log-ins"},
			{"allowed":"3 to 30","default":"12","help":"hosts that refused log-ins of one source on one port, or sources that one service refused, that make a brute force","max":30,"min":3,"name":"hosts","type":"number","unit":"hosts"},
			{"allowed":"1 to 32 ports, each 1 to 65535","default":"21 22 23 445 1433 3306 3389 5432 5900","help":"login services: FTP, SSH, Telnet, SMB, SQL Server, MySQL, RDP, PostgreSQL, VNC","name":"ports","type":"list"}
		]},
		{"about":"Fires when one source sends many UDP datagrams to one destination within a window, and gets no response, or one destination gets many of many sources. Technique T1498.001. Defaults: common practice: a thousand datagrams a second for five seconds.","kind":"detector","name":"udp_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 10000000","default":"5000","help":"datagrams of one source to one destination, without a response, that make a flood","max":10000000,"min":2,"name":"packets","type":"number","unit":"packets"},
			{"allowed":"1 to 600","default":"5","help":"length of the sliding window","max":600,"min":1,"name":"window_s","type":"number","unit":"s"},
			{"allowed":"10 to 1000000","default":"60","help":"unanswered flows, or unrequested responses, a second that one destination may get","max":1000000,"min":10,"name":"victim_rate","type":"number","unit":"packets/s"}
		]},
		{"about":"Fires when many sources, or one, send TCP segments of no connection (ACK, FIN, RST, SYN-ACK) to one destination. Technique T1499.001. Defaults: CUSUM of Wang, Zhang, Shin (2002); the rate is common practice.","kind":"detector","name":"tcp_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"10 to 1000000","default":"60","help":"segments of no connection a second that one destination may get","max":1000000,"min":10,"name":"victim_rate","type":"number","unit":"packets/s"}
		]},
		{"about":"Fires when many sources, or one, send one destination fragments of datagrams that stay incomplete. Technique T1499.001. Defaults: CUSUM of Wang, Zhang, Shin (2002); the rate is common practice.","kind":"detector","name":"fragment_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"10 to 1000000","default":"60","help":"fragments of incomplete datagrams a second that one destination may get","max":1000000,"min":10,"name":"victim_rate","type":"number","unit":"packets/s"}
		]},
		{"about":"Fires when one source contacts one port, or none, of many hosts, and few answer. Technique T1018. Defaults: the sequential test of `port_scan.failed_contacts`: Jung et al. (2004).","kind":"detector","name":"host_sweep","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a host asks for names as malware makes them; or, at low severity, for one such name. Technique T1568.002. Defaults: Wald 1945: one host in a million by chance, if names were independent; scores: tools/learn.","kind":"detector","name":"dga","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"32 to 4000","default":"224","help":"logarithm of the odds, over all new names of a host, that malware makes them","max":4000,"min":32,"name":"host_evidence","type":"number","unit":"sixteenths of a nat"},
			{"allowed":"0 to 1000","default":"160","help":"score of one name that is reported, at low severity","max":1000,"min":0,"name":"name_score","type":"number","unit":"sixteenths of a nat"}
		]},
		{"about":"Fires when a station claims an IPv6 address that another holds; low without proof that the claim is forged. Technique T1557. Defaults: RFC 4861 sections 7.2.5 and 11.1; virtual router addresses of RFC 9568 section 7.3.","kind":"detector","name":"ndp_spoof","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a second DHCP server of a link names another router or resolver; low if the first has been silent for ten minutes. Technique T1557.003. Defaults: RFC 7610 section 3; RFC 2131 section 4.3.","kind":"detector","name":"rogue_dhcp","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a router advertises itself beside another that is active, or in its name. Technique T1557. Defaults: RFC 6104; RFC 4861 section 6.2.1: advertisements at least every ten minutes by default.","kind":"detector","name":"rogue_ra","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when the DHCP server or router names another resolver than before; low unless one request got both answers. Technique T1557.003. Defaults: RFC 2132 section 3.8; RFC 8106 section 5.1.","kind":"detector","name":"rogue_dns","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when leases are asked for in the names of many clients within ten seconds. Technique T1499.002. Defaults: RFC 7513 section 1; common practice: 15 requests a second limit of a switch port, and thrice as many devices as a home has.","kind":"detector","name":"dhcp_starvation","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"8 to 64","default":"60","help":"distinct clients of a network that ask for leases within ten seconds","max":64,"min":8,"name":"clients","type":"number","unit":"clients"},
			{"allowed":"4 to 64","default":"20","help":"distinct clients in whose names one station asks for leases within ten seconds","max":64,"min":4,"name":"clients_per_sender","type":"number","unit":"clients"}
		]},
		{"about":"Fires when frames come from many hardware addresses within a second that were never seen before. Technique T1040. Defaults: tables of small switches hold 1,000 to 8,000 addresses for five minutes; macof sends hundreds to thousands a second.","kind":"detector","name":"mac_flood","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"10 to 4000","default":"250","help":"new hardware addresses within a second; twice as many in the first ten seconds","max":4000,"min":10,"name":"addresses","type":"number","unit":"addresses"}
		]},
		{"about":"Fires when a host asks for many domains that do not exist, in a short time. Technique T1568. Defaults: Yadav, Reddy 2011 (failures of many domains are the earliest sign of generated names); people mistype one now and then, a page of advertisements that the resolver blocks has fewer.","kind":"detector","name":"nxdomain_burst","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"8 to 200","default":"50","help":"distinct registered domains that do not exist, asked for by one host within the window","max":200,"min":8,"name":"domains","type":"number","unit":"domains"},
			{"allowed":"10 to 3600","default":"60","help":"time within which they count","max":3600,"min":10,"name":"window_s","type":"number","unit":"s"}
		]},
		{"about":"Fires when a name had a public address and then has one inside; or, at low severity, so have several domains at once. Technique T1189. Defaults: Jackson et al. 2007; a day: pages stay open; three domains: filters and portals answer for all, a rebinding service for its own.","kind":"detector","name":"dns_rebinding","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 32","default":"3","help":"registered domains that a resolver answers with one internal address from which it is taken for a filter or a portal","max":32,"min":2,"name":"domains","type":"number","unit":"domains"},
			{"allowed":"1 to 720","default":"24","help":"time for which a public answer is remembered","max":720,"min":1,"name":"hours","type":"number","unit":"h"}
		]},
		{"about":"Fires when a host asks for an internationalised name that looks like a well-known one; or, at low severity, that mixes alphabets. Technique T1566.002. Defaults: Unicode TR 39; names that phishing imitates most.","kind":"detector","name":"punycode_lookalike","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"4 to 16","default":"4","help":"shortest well-known name that is looked for","max":16,"min":4,"name":"length","type":"number","unit":"characters"}
		]},
		{"about":"Fires when a name has many short-lived addresses in many networks. Technique T1568.001. Defaults: Holz et al. 2008: seven systems with ten addresses; three times as many networks, because clouds have several each.","kind":"detector","name":"fast_flux","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"low","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"10 to 48","default":"24","help":"networks of 16 bits (32 of IPv6) that the addresses of one name are in","max":48,"min":10,"name":"networks","type":"number","unit":"networks"},
			{"allowed":"1 to 86400","default":"300","help":"longest validity of an address that counts","max":86400,"min":1,"name":"ttl_s","type":"number","unit":"s"}
		]},
		{"about":"Fires when an inside host contacts one external destination at regular times (low), which no other does and no DNS answer has named. Technique T1071. Defaults: RITA (skewness and deviation of gaps, prevalence); Wald's test with gaps within a factor of 1.5 of the median.","kind":"detector","name":"beacon","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"6 to 24","default":"11","help":"contacts at regular times that make a beacon, after the three before which a pair is not watched","max":24,"min":6,"name":"contacts","type":"number","unit":"contacts"},
			{"allowed":"2 to 1000","default":"3","help":"inside hosts in contact with a destination from which it is taken for ordinary software","max":1000,"min":2,"name":"hosts","type":"number","unit":"hosts"},
			{"allowed":"0 to 255","default":"8","help":"destinations without a DNS answer that an inside host may contact; with more of them its names are not seen, and a missing one says nothing","max":255,"min":0,"name":"unnamed","type":"number","unit":"destinations"},
			{"allowed":"1 to 32 ports, each 1 to 65535","default":"53 123 500 853 3478 4500 5060 19302","help":"ports of services that are asked at regular times by their nature: contacts with them are left out","name":"ports","type":"list"}
		]},
		{"about":"Fires when a station of the inside network appears that was not seen before. Technique T1200. Defaults: common practice: an inventory of what is connected; RFC 9797 for addresses that change.","kind":"detector","name":"new_device","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"10 to 604800","default":"600","help":"time after the first start in which every station counts as known","max":604800,"min":10,"name":"learning_s","type":"number","unit":"s"},
			{"allowed":"1 to 1000","default":"20","help":"new devices that are reported within a day","max":1000,"min":1,"name":"devices_a_day","type":"number","unit":"devices"}
		]},
		{"about":"Fires when a TCP connection between an inside host and an external one carries many bytes in one direction. Technique T1030. Defaults: common practice: 100 MiB.","kind":"detector","name":"large_transfer","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"1048576 to 4294967295","default":"104857600","help":"payload bytes in one direction of a TCP connection with an external host that make a large transfer","max":4294967295,"min":1048576,"name":"bytes","type":"number","unit":"bytes"}
		]},
		{"about":"Fires when a host asks for a server of a chat service; told once a day. Technique T1102. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"chat_app","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a host asks for a server of a cloud storage service; told once a day. Technique T1567.002. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"cloud_storage","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a host asks for a name in a zone that is often abused (weak evidence); told once a day. Technique T1583.001. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"suspicious_tld","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"low","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a host asks for a name that the operator's list calls malicious; without such a list it is silent. Technique T1071. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"malicious_domain","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when an internal host contacts an address that the operator's list calls malicious; without such a list it is silent. Technique T1071. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"malicious_ip","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"high","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when an internal host contacts a listed exit node, relay or bridge of Tor; without such lists it is silent. Technique T1090.003. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"tor","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when an internal host contacts a listed address of a data centre; told once a day; without such a list it is silent. Technique T1583.003. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"datacenter_ip","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when an internal host contacts a listed public proxy or VPN; told once a day; without such a list it is silent. Technique T1090.002. Defaults: config/signatures.json, and the file that the setting signatures_file names.","kind":"detector","name":"proxy_vpn","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a host sends a password in clear text: HTTP Basic, FTP, POP3, IMAP, SMTP, Telnet, LDAP, SNMP, MQTT, Redis (low at most unless it leaves for the internet). Technique T1040. Defaults: RFC 7617 section 4, RFC 2577 section 5, RFC 8314 section 3; a server is reported once in 18 to 23 hours.","kind":"detector","name":"cleartext_credentials","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a server chooses SSL, TLS 1.0 or 1.1 or a weak cipher suite, or its certificate is expired, not valid yet, self-signed or of another name (info inside the local network, where self-signed ones and other names are ordinary). Technique T1557. Defaults: RFC 8996, RFC 7568, RFC 9325 sections 3.1 and 4.1, RFC 5280 section 4.1.2.5, RFC 9525; a server is reported once in 18 to 23 hours.","kind":"detector","name":"tls_risk","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"low","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when two hosts exchange data in echo messages: replies that differ from their requests, or requests that differ behind the part that ping programs fill. Technique T1095. Defaults: RFC 792, RFC 4443 section 4.2; the payloads of ptunnel, icmpsh, hans and icmptunnel, and of the ping of five systems.","kind":"detector","name":"icmp_tunnel","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 200","default":"5","help":"replies of one host to another that differ from their requests and from each other that make a tunnel","max":200,"min":2,"name":"replies","type":"number","unit":"replies"},
			{"allowed":"4 to 200","default":"30","help":"requests of one host to another, not a minute apart, that differ behind the first 40 bytes that make a tunnel","max":200,"min":4,"name":"requests","type":"number","unit":"requests"}
		]},
		{"about":"Fires when a request names a library, a crawler (info, told once a day) or an attack tool as its user agent; or requests to several servers name a browser without the headers that browsers send (low). Technique T1595. Defaults: RFC 9110 sections 10.1.5, 12.5.3 and 12.5.4; words: common libraries and tools, and the list of crawler-user-agents.","kind":"detector","name":"bot","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"2 to 20","default":"6","help":"servers that a host asks in the name of a browser, without the headers of one, in a day","max":20,"min":2,"name":"servers","type":"number","unit":"servers"}
		]},
		{"about":"Fires when an internal host begins TLS with a JA3 or JA4 that the operator's list calls malicious: low for one of them, because ordinary programs use the same libraries; without such a list it is silent. Technique T1573.002. Defaults: the file that the setting signatures_file names, for example with the list of sslbl.abuse.ch.","kind":"detector","name":"malicious_fingerprint","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a packet or first payload that the rules of its protocol, or the purpose of its port, rule out: a request with its destination as source, headers that have no room, SSH at a port of the web or of DNS, a tunnel at port 53. Technique T1571. Defaults: RFC 1122, RFC 9293, RFC 768, RFC 791, CERT advisory CA-1997-28.","kind":"detector","name":"protocol_anomaly","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"medium","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]}
		]},
		{"about":"Fires when a device that was seen around the clock for days is silent. Technique T1529. Defaults: common practice: an inventory of what is connected; a week holds the habits of a household.","kind":"detector","name":"device_offline","settings":[
			{"allowed":"on, off","default":"on","help":"whether the detector runs","name":"enabled","type":"switch"},
			{"allowed":"info, low, medium, high, critical","default":"info","help":"severity of its alerts","name":"severity","type":"choice","values":["info","low","medium","high","critical"]},
			{"allowed":"3600 to 86400","default":"7200","help":"silence of a device that was always there, in whole half-hours","max":86400,"min":3600,"name":"silent_s","type":"number","unit":"s"},
			{"allowed":"1 to 60","default":"7","help":"time around the clock after which a device counts as always there","max":60,"min":1,"name":"always_on_days","type":"number","unit":"days"}
		]}
	]
});
