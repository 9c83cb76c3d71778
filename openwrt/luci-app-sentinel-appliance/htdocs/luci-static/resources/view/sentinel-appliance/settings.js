'use strict';
'require view';
'require form';
'require rpc';
'require uci';
'require tools.widgets as widgets';
'require sentinel-appliance.registry as registry';

const CONFIG = 'sentinel-appliance';
const ON = [ '1', 'on', 'true', 'yes', 'enabled' ];

const callCheck = rpc.declare({ object: 'sentinel', method: 'check' });

/* The form takes titles and descriptions as HTML. */
function text(value) {
	return String(value ?? '').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

function describe(setting) {
	const parts = [ setting.help ];
	if (setting.unit) parts.push(_('Unit: %s').format(setting.unit));
	if (setting.type !== 'switch' && setting.type !== 'choice') parts.push(_('Allowed: %s').format(setting.allowed));
	if (setting.restart) parts.push(_('Takes effect when the service is restarted.'));
	return text(parts.join('. '));
}

/* Rule of LuCI for the values that the registry allows; what it cannot say, `sentinel config check` says after saving. */
function datatype(setting) {
	if (setting.type !== 'number' || setting.min == null) return null;
	const range = 'range(%d,%d)'.format(setting.min, setting.max);
	const words = (setting.words ?? []).map(word => '"%s"'.format(word));
	return words.length ? 'or(%s,%s)'.format(words.join(','), range) : range;
}

function option(section, setting) {
	const title = text(setting.name), about = describe(setting);
	let o;
	if (setting.name === 'interface' && setting.type === 'list') {
		o = section.option(widgets.DeviceSelect, setting.name, title, about);
		o.multiple = true;
		o.noaliases = true;
		o.rmempty = false;
		return o;
	}
	switch (setting.type) {
	case 'switch':
		o = section.option(form.Flag, setting.name, title, about);
		o.enabled = 'on';
		o.disabled = 'off';
		o.default = setting.default;
		o.cfgvalue = id => {
			const value = uci.get(CONFIG, id, setting.name);
			return value == null ? null : ON.includes(value) ? 'on' : 'off';
		};
		return o;
	case 'choice':
		o = section.option(form.ListValue, setting.name, title, about);
		(setting.values ?? []).forEach(value => o.value(value));
		o.default = setting.default;
		break;
	case 'list':
		o = section.option(form.DynamicList, setting.name, title, about);
		break;
	default:
		o = section.option(form.Value, setting.name, title, about);
		(setting.words ?? []).forEach(word => o.value(word));
		o.datatype = datatype(setting);
	}
	o.placeholder = setting.default;
	o.optional = true;
	return o;
}

return view.extend({
	load() {
		return Promise.all([ uci.load(CONFIG), L.resolveDefault(callCheck(), null) ]);
	},

	render([ , checked ]) {
		const map = new form.Map(CONFIG, _('Network Sensor'),
			_('A setting that is left empty has the default that its field shows.'));
		map.tabbed = true;
		registry.sections.forEach(found => {
			const section = map.section(form.NamedSection, found.name, found.kind, text(found.name), text(found.about));
			/* A detector has a section only if one of its settings was changed. */
			section.addremove = found.name !== 'main';
			found.settings.forEach(setting => option(section, setting));
		});
		if (!checked || checked.ok) return map.render();
		const shown = E('div', { 'class': 'alert-message warning', 'id': 'sentinel-problems' }, [
			E('strong', {}, [ _('The sensor does not take these settings:') ]),
			E('pre', {}, [ String(checked.problems ?? checked.error ?? '') ])
		]);
		return map.render().then(node => E('div', {}, [ shown, node ]));
	}
});
