'use strict';
/* Stand-in for what a view gets from LuCI: E, L, rpc, poll, dom, view, uci, form. As in LuCI, a child that is a bare string is HTML
   and only elements of an array are text; titles and descriptions of a form are HTML. */

String.prototype.format = function(...values) {
	let at = 0;
	return this.replace(/%(%|s|d)/g, (all, kind) => kind === '%' ? '%' : kind === 'd' ? Math.trunc(values[at++]) : values[at++]);
};
const _ = text => text;

const dom = {
	append(node, children) {
		if (Array.isArray(children))
			for (const child of children)
				if (child instanceof Node) node.appendChild(child);
				else if (child !== null && child !== undefined) node.appendChild(document.createTextNode(String(child)));
				else;
		else if (children instanceof Node) node.appendChild(children);
		else if (children !== null && children !== undefined) node.innerHTML = String(children);
	},
	content(node, children) {
		while (node.firstChild) node.removeChild(node.firstChild);
		this.append(node, children);
	}
};

function E(name, attributes, children) {
	const node = document.createElement(name);
	if (attributes === null || typeof attributes !== 'object' || Array.isArray(attributes) || attributes instanceof Node)
		[ attributes, children ] = [ {}, attributes ];
	for (const key in attributes) node.setAttribute(key, attributes[key]);
	dom.append(node, children);
	return node;
}

const answers = {}, calls = {};
const L = { resolveDefault: (promise, value) => Promise.resolve(promise).catch(() => value) };
const rpc = {
	declare: ({ object, method, params }) => (...values) => {
		calls[method] = (calls[method] ?? 0) + 1;
		calls['last ' + method] = values;
		const answer = answers[method];
		return answer === undefined ? Promise.reject(new Error('no ' + object + '.' + method)) : Promise.resolve(structuredClone(answer));
	}
};
const poll = { added: [], add(run, seconds) { this.added.push({ run, seconds }); } };
const view = { extend: members => Object.create(members) };
const baseclass = { extend: members => Object.create(members) };
const uci = { values: {}, load: () => Promise.resolve(), get: (config, section, name) => (uci.values[section] ?? {})[name] };

/* Remembers what a form was made of, and shows titles and descriptions as LuCI does. */
const form = (() => {
	class Option {
		constructor(kind, name, title, about) { Object.assign(this, { kind, name, title, about, values: [] }); }
		value(value) { this.values.push(value); }
	}
	class Section {
		constructor(kind, name, type, title, about) { Object.assign(this, { kind, name, type, title, about, options: [] }); }
		option(kind, name, title, about) {
			const made = new Option(kind, name, title, about);
			this.options.push(made);
			return made;
		}
	}
	class Map {
		constructor(config, title, about) { Object.assign(this, { config, title, about, sections: [] }); form.last = this; }
		section(kind, name, type, title, about) {
			const made = new Section(kind, name, type, title, about);
			this.sections.push(made);
			return made;
		}
		render() {
			const shown = this.sections.map(section => E('fieldset', {}, [
				E('legend', section.title), E('p', section.about ?? ''),
				...section.options.map(option => E('div', { 'data-name': section.name + '.' + option.name }, [
					E('label', option.title), E('small', option.about ?? '')
				]))
			]));
			return Promise.resolve(E('form', {}, shown));
		}
	}
	return { Map, NamedSection: 'NamedSection', Flag: 'Flag', ListValue: 'ListValue', DynamicList: 'DynamicList', Value: 'Value' };
})();
const widgets = { DeviceSelect: 'DeviceSelect' };

/* A module as LuCI loads it: `'require NAME'` and `'require NAME as ALIAS'` give arguments of a function with its text. */
const modules = { view, rpc, poll, dom, uci, form, baseclass, 'tools.widgets': widgets };
function load(name, source) {
	const wanted = [ ...source.matchAll(/^'require ([\w.-]+)(?: as (\w+))?';$/gm) ];
	const names = wanted.map(found => found[2] ?? found[1]);
	const missing = wanted.find(found => modules[found[1]] === undefined);
	if (missing) throw new Error(name + ': no module ' + missing[1]);
	return new Function(...names, 'E', 'L', '_', source)(...wanted.map(found => modules[found[1]]), E, L, _);
}
