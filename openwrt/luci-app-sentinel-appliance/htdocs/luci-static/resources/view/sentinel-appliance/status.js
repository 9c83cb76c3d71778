'use strict';
'require view';
'require rpc';
'require poll';
'require dom';

const callStatus = rpc.declare({ object: 'sentinel', method: 'status' });
const callAlerts = rpc.declare({ object: 'sentinel', method: 'alerts', params: [ 'limit' ] });

const ALERTS = 50;
const INTERVAL_S = 5;

/* Names in alerts come from the network. Every text below is an element of an array: L.dom takes a bare string as HTML. Control
   characters and marks that turn the direction of text are replaced, because they could make one thing look like another. */
function plain(value) {
	return String(value ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '\ufffd');
}

function number(value) {
	return Number(value ?? 0).toLocaleString('en').replace(/,/g, '\u202f');
}

function row(name, ...content) {
	return E('tr', { 'class': 'tr' }, [
		E('td', { 'class': 'td left', 'width': '25%' }, [ name ]),
		E('td', { 'class': 'td left' }, content)
	]);
}

function span(ms) {
	const minutes = Math.floor((ms ?? 0) / 60000);
	const parts = [ Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60 ];
	return _('%d d %d h %d min').format(...parts);
}

function visibility(found) {
	const advice = [].concat(found?.advice ?? []).map(line => E('li', {}, [ plain(line) ]));
	const score = found?.score_percent == null ? _('not known yet') : '%d %%'.format(found.score_percent);
	return advice.length ? [ score, E('ul', {}, advice) ] : [ score ];
}

function warning(text) {
	return E('div', { 'class': 'alert-message warning' }, [ text ]);
}

/* State of the running sensor: its counters add up, and what it cannot see is told. */
function books(status) {
	if (!status || status.running !== true)
		return [ warning(_('The sensor does not run: %s').format(plain(status?.error ?? _('no answer')))) ];
	const frames = status.frames ?? {}, alerts = status.alerts ?? {}, memory = status.memory ?? {};
	const shown = [];
	if (status.reload?.error)
		shown.push(warning(_('The settings were not taken over: %s').format(plain(status.reload.error))));
	if (status.capturing === false)
		shown.push(warning(_('Capturing was stopped by a command.')));
	shown.push(E('table', { 'class': 'table', 'id': 'sentinel-books' }, [
		row(_('Version'), plain(status.version)),
		row(_('Running for'), span(status.uptime_ms)),
		row(_('Interfaces'), (status.interfaces ?? []).map(one =>
			'%s (%s)'.format(plain(one.name), one.open ? _('capturing') : _('waiting for it'))).join(', ')),
		row(_('Frames seen'), number(frames.seen)),
		row(_('of these'), _('%s analysed, %s filtered, %s dropped').format(
			number(frames.analysed), number(frames.filtered), number(frames.dropped))),
		row(_('Visibility'), ...visibility(status.visibility)),
		row(_('Alerts'), _('%s raised, %s delivered, %s waiting').format(
			number(alerts.raised), number(alerts.delivered), number(alerts.waiting))),
		row(_('Collector'), [ status.uplink?.state, status.uplink?.last_error ].filter(Boolean).map(plain).join(': ')),
		row(_('Not in force here'), [].concat(status.privileges?.missing ?? []).map(plain).join('; ') || '-'),
		row(_('Memory'), _('%s KiB resident, %s table entries evicted').format(
			number(memory.resident_kib), number(memory.evictions)))
	]));
	return shown;
}

function alertRow(alert) {
	const cells = [
		plain(alert.time).replace('T', ' ').slice(0, 19), plain(alert.severity), plain(alert.kind), plain(alert.phase),
		plain(alert.summary)
	];
	return E('tr', { 'class': 'tr' }, cells.map(cell => E('td', { 'class': 'td left' }, [ cell ])));
}

/* Newest alerts first; gaps are told, because alerts that are missing are not seen in a list. */
function newest(log) {
	const shown = [];
	if (log?.error)
		shown.push(warning(_('The log cannot be read: %s').format(plain(log.error))));
	const lost = (log?.records ?? []).filter(record => record.record === 'gap').reduce((sum, gap) => sum + (gap.lost ?? 0), 0);
	if (lost > 0)
		shown.push(warning(_('%s alerts were lost; `sentinel log show` says when and why.').format(number(lost))));
	const titles = [ _('Time (UTC)'), _('Severity'), _('Kind'), _('Phase'), _('What') ];
	const rows = (log?.alerts ?? []).map(alertRow);
	if (!rows.length)
		rows.push(E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td' }, [ E('em', {}, [ _('No alerts can be read here. Delivered ones are sealed to the collector.') ]) ]) ]));
	shown.push(E('table', { 'class': 'table', 'id': 'sentinel-alerts' }, [
		E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ]))),
		...rows
	]));
	return shown;
}

return view.extend({
	load() {
		return Promise.all([ L.resolveDefault(callStatus(), null), L.resolveDefault(callAlerts(ALERTS), null) ]);
	},

	render([ status, log ]) {
		const above = E('div', { 'class': 'cbi-section' }, books(status));
		const below = E('div', { 'class': 'cbi-section' }, newest(log));
		const refresh = () => this.load().then(([ status, log ]) => {
			dom.content(above, books(status));
			dom.content(below, newest(log));
		});
		/* Nobody looks at a hidden page; the router has better things to do. */
		poll.add(() => document.hidden ? Promise.resolve() : refresh(), INTERVAL_S);
		document.addEventListener('visibilitychange', () => document.hidden || refresh());
		return E('div', {}, [
			E('h2', {}, [ _('Network Sensor') ]), above,
			E('h3', {}, [ _('Newest alerts') ]), below
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
