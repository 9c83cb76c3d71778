'use strict';
/* Runs after the stand-in, the sources and the answers. Every check is a line of the result. */

const lines = [];
function check(what, is_true, ...found) {
	lines.push((is_true ? 'ok ' : 'FAILED ') + what + (is_true ? '' : ': ' + JSON.stringify(found)));
}
window.owned = 0;
let hidden = false;
Object.defineProperty(document, 'hidden', { get: () => hidden });
const settle = () => new Promise(done => setTimeout(done, 0));

/* Text that HTML, a script or a terminal would take for something else. */
const HOSTILE = '<script>owned++</script><img src=x onerror="owned++">"\'&amp;\u0007\u001b[31m\u202egnp.exe\\u003c';

async function statusPage() {
	Object.assign(answers, { status: real.status, alerts: structuredClone(real.alerts) });
	const hostile = { ...real.alerts.alerts[0], summary: HOSTILE, kind: HOSTILE, severity: HOSTILE, phase: HOSTILE };
	answers.alerts.alerts.unshift(hostile);
	const page = load('status', sources.status);
	const node = page.render(await page.load());
	document.body.appendChild(node);
	const books = () => node.querySelector('#sentinel-books')?.textContent ?? '';
	const rows = () => [ ...node.querySelectorAll('#sentinel-alerts tr') ].slice(1);

	check('the counters are those of the answer', books().includes(String(real.status.frames.seen).replace(/(\d)(?=(\d{3})+$)/g, '$1\u202f')), books());
	check('the version is shown', books().includes(real.status.version), books());
	check('visibility is shown', books().includes(real.status.visibility.score_percent + ' %'), books());
	check('the uplink is shown', books().includes(real.status.uplink.state), books());
	check('every alert has a row', rows().length === real.alerts.alerts.length + 1, rows().length);
	check('newest first', rows()[1].textContent.includes(real.alerts.alerts[0].summary), rows()[1].textContent);
	check('fifty alerts are asked for', calls['last alerts'][0] === 50, calls['last alerts']);

	await settle();
	const cell = rows()[0].lastChild;
	check('markup in an alert is text', cell.textContent.startsWith('<script>owned++</script><img') && cell.children.length === 0, cell.innerHTML);
	check('quotes and entities are kept', cell.textContent.includes('"\'&amp;') && cell.textContent.endsWith('\\u003c'), cell.textContent);
	check('control and direction characters are replaced', !/[\u0000-\u001f\u202a-\u202e]/.test(cell.textContent) && cell.textContent.includes('\ufffd[31m\ufffdgnp'), cell.textContent);
	check('no script of an alert runs', window.owned === 0 && node.querySelector('script, img') === null, window.owned);

	check('it polls every five seconds', poll.added.length === 1 && poll.added[0].seconds === 5, poll.added);
	const before = calls.status;
	answers.status = { ...real.status, frames: { ...real.status.frames, seen: 123456789 }, visibility: { score_percent: 40, advice: HOSTILE } };
	await poll.added[0].run();
	check('a poll shows the new answer', books().includes('123\u202f456\u202f789') && books().includes('40 %'), books());
	check('advice is text', books().includes('<script>') && node.querySelector('script, img') === null, books());
	hidden = true;
	await poll.added[0].run();
	document.dispatchEvent(new Event('visibilitychange'));
	await settle();
	check('a hidden page asks nothing', calls.status === before + 1, calls.status, before);
	hidden = false;
	document.dispatchEvent(new Event('visibilitychange'));
	await settle();
	check('a page that is seen again asks at once', calls.status === before + 2, calls.status, before);

	answers.status = { running: false, error: HOSTILE };
	answers.alerts = { alerts: [], records: [ { record: 'gap', lost: 3 } ], error: HOSTILE };
	await poll.added[0].run();
	const text = node.textContent;
	check('a sensor that does not run is told', text.includes('does not run: <script>') && node.querySelector('#sentinel-books') === null, text);
	check('a log that cannot be read is told', text.includes('cannot be read: <script>'), text);
	check('lost alerts are told', text.includes('3 alerts were lost'), text);
	delete answers.status;
	delete answers.alerts;
	await poll.added[0].run();
	check('no answer at all is told', node.textContent.includes('does not run: no answer'), node.textContent);
	answers.status = { running: true };
	answers.alerts = {};
	await poll.added[0].run();
	check('an answer without members does not stop the page', node.querySelector('#sentinel-books') !== null);
	check('still no script ran', window.owned === 0, window.owned);
}

async function settingsPage() {
	modules['sentinel-appliance.registry'] = load('registry', sources.registry);
	const registry = modules['sentinel-appliance.registry'];
	const total = registry.sections.reduce((sum, section) => sum + section.settings.length, 0);
	answers.check = real.check;
	uci.values = { main: { promiscuous: '1' }, port_scan: { enabled: 'no' } };
	const page = load('settings', sources.settings);
	const node = await page.render(await page.load());
	document.body.appendChild(node);
	const map = form.last, options = map.sections.flatMap(section => section.options.map(option => [ section.name + '.' + option.name, option ]));
	const find = name => options.find(([ found ]) => found === name)[1];

	check('every setting of the registry has a field', options.length === total && total > 100, options.length, total);
	check('main is there and detectors can be added and removed', map.sections[0].name === 'main' && !map.sections[0].addremove && map.sections.slice(1).every(section => section.addremove));
	check('interfaces are chosen among those of the device', find('main.interface').kind === 'DeviceSelect' && find('main.interface').multiple);
	check('a number has its range', find('port_scan.ports').datatype === 'range(2,64)', find('port_scan.ports').datatype);
	check('words are allowed beside a range', find('main.memory_kib').datatype === 'or("tiny","default","full",range(256,262144))', find('main.memory_kib').datatype);
	check('a default is shown', find('main.ring_kib').placeholder === '1024');
	check('a choice has its values', find('main.log_level').values.join() === 'error,warn,info,debug', find('main.log_level').values);
	check('all words for on and off are known', find('main.promiscuous').cfgvalue('main') === 'on' && find('port_scan.enabled').cfgvalue('port_scan') === 'off' && find('main.allow_overlap').cfgvalue('main') === null);
	check('good settings have no warning', node.querySelector('#sentinel-problems') === null);
	check('titles and descriptions are text', [ ...node.querySelectorAll('small, label, legend, p') ].every(found => found.children.length === 0));
	check('a restart is told', node.querySelector('[data-name="main.interface"]').textContent.includes('restarted'));

	answers.check = { ok: false, problems: HOSTILE };
	const bad = await page.render(await page.load());
	const shown = bad.querySelector('#sentinel-problems pre');
	check('problems are shown as text', shown.textContent === HOSTILE && shown.children.length === 0 && window.owned === 0, shown.innerHTML);
}

statusPage().then(settingsPage).catch(error => lines.push('FAILED ' + error.stack)).then(() => {
	const result = document.createElement('pre');
	result.id = 'result';
	result.textContent = lines.join('\n') + '\nend of checks';
	document.body.replaceChildren(result);
});
