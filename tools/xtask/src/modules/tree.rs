//! Files of a crate to modules, their imports and re-exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::tokens::{Token, tokens};

/// Re-exports followed before a chain is taken for endless.
const MAX_REEXPORTS: usize = 16;

/// Path of a module below the crate's root: `["ring", "walk"]`. The root is empty.
type ModulePath = Vec<String>;

/// Modules of one crate.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug, Default)]
struct Module {
    /// Relative to the folder of sources.
    file: String,
    /// Paths that this module names, each from the crate's root.
    names: BTreeSet<ModulePath>,
    /// Name here -> path that it stands for.
    imports: BTreeMap<String, ModulePath>,
    tokens: Vec<Token>,
}

/// File -> file that it imports from -> names taken.
pub(crate) type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

impl Tree {
    /// Reads the crate whose root file is `root`, following its `mod` declarations.
    ///
    /// # Errors
    /// File that cannot be read, or a module without a file.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let folder = root.parent().unwrap_or(root);
        Self::with(root, folder, &|path| fs::read_to_string(path).ok())
    }

    /// Reads through `load`, which returns the text of a file or `None` if there is no such file.
    fn with(root: &Path, folder: &Path, load: &dyn Fn(&Path) -> Option<String>) -> Result<Self> {
        let mut tree = Self::default();
        let mut pending: Vec<(ModulePath, PathBuf)> = vec![(Vec::new(), root.to_owned())];
        while let Some((path, file)) = pending.pop() {
            let text = load(&file).with_context(|| format!("{}: cannot be read", file.display()))?;
            let tokens = tokens(&text);
            for child in declared(&tokens) {
                let mut below = path.clone();
                below.push(child);
                let found = files_of(folder, &below).into_iter().find(|file| load(file).is_some());
                let found = found.with_context(|| {
                    format!("{}: no file for module {}", file.display(), below.join("::"))
                })?;
                pending.push((below, found));
            }
            let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
            tree.modules.insert(path, Module { file: name, tokens, ..Module::default() });
        }
        tree.collect();
        Ok(tree)
    }

    fn collect(&mut self) {
        let paths: BTreeSet<ModulePath> = self.modules.keys().cloned().collect();
        for (path, module) in &mut self.modules {
            let mut reader = Reader { path, paths: &paths, names: BTreeSet::new(), imports: BTreeMap::new() };
            reader.read(&module.tokens);
            (module.names, module.imports) = (reader.names, reader.imports);
        }
    }

    /// Edges between files. A module and its own descendants are one unit: an edge between them is left out.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (path, module) in &self.modules {
            for name in &module.names {
                let Some((target, item)) = self.resolve(name, 0) else { continue };
                if target.starts_with(path) || path.starts_with(target) {
                    continue;
                }
                let Some(used) = self.modules.get(target) else { continue };
                graph
                    .entry(module.file.clone())
                    .or_default()
                    .entry(used.file.clone())
                    .or_default()
                    .insert(item.to_owned());
            }
        }
        graph
    }

    /// Module that defines what `name` stands for, and the last part of its path.
    fn resolve<'t>(&'t self, name: &'t [String], followed: usize) -> Option<(&'t ModulePath, &'t str)> {
        let depth = (0..=name.len())
            .rev()
            .find(|depth| self.modules.contains_key(name.get(..*depth).unwrap_or_default()))?;
        let (path, module) = self.modules.get_key_value(name.get(..depth)?)?;
        let Some(item) = name.get(depth) else {
            return Some((path, path.last().map_or("crate", String::as_str)));
        };
        match module.imports.get(item) {
            Some(original) if followed < MAX_REEXPORTS && original.as_slice() != name => {
                self.resolve(original, followed + 1)
            }
            _ => Some((path, item)),
        }
    }
}

/// Names of the modules declared with `mod name;`. One with a `path` attribute is a file of another crate and has no place in
/// this tree.
fn declared(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    let mut has_path = false;
    for (position, token) in tokens.iter().enumerate() {
        let word = |offset: usize| tokens.get(position + offset).and_then(Token::word);
        let sign =
            |offset: usize, sign: char| tokens.get(position + offset).is_some_and(|token| token.is(sign));
        match token {
            Token::Sign('#') if sign(1, '[') && word(2) == Some("path") => has_path = true,
            Token::Sign(';' | '{' | '}') => has_path = false,
            Token::Word(keyword) if keyword == "mod" && sign(2, ';') && !has_path => {
                names.extend(word(1).map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

fn files_of(folder: &Path, path: &[String]) -> [PathBuf; 2] {
    let below = path.iter().fold(folder.to_owned(), |folder, part| folder.join(part));
    [below.with_extension("rs"), below.join("mod.rs")]
}

/// Collects the paths that one module names.
struct Reader<'t> {
    path: &'t ModulePath,
    paths: &'t BTreeSet<ModulePath>,
    names: BTreeSet<ModulePath>,
    imports: BTreeMap<String, ModulePath>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: &[Token]) {
        let mut position = 0;
        while let Some(token) = tokens.get(position) {
            let is_middle = position > 0 && tokens.get(position - 1) == Some(&Token::Path);
            position = match token.word() {
                Some("use") => self.tree(tokens, position + 1, &[]),
                Some(word) if !is_middle && self.starts_a_path(word) => self.inline(tokens, position),
                _ => position + 1,
            };
        }
    }

    fn starts_a_path(&self, word: &str) -> bool {
        matches!(word, "crate" | "self" | "super") || self.child(word).is_some()
    }

    fn child(&self, word: &str) -> Option<ModulePath> {
        let mut child = self.path.clone();
        child.push(word.to_owned());
        self.paths.contains(&child).then_some(child)
    }

    /// A path in an expression or a type; returns the position behind it.
    fn inline(&mut self, tokens: &[Token], start: usize) -> usize {
        let mut parts = Vec::new();
        let mut position = start;
        while let Some(word) = tokens.get(position).and_then(Token::word) {
            parts.push(word.to_owned());
            position += 1;
            if tokens.get(position) != Some(&Token::Path) {
                break;
            }
            position += 1;
        }
        if parts.len() > 1 {
            self.names.extend(self.absolute(&parts));
        }
        position.max(start + 1)
    }

    /// A tree of `use` below `before`; returns the position behind it.
    fn tree(&mut self, tokens: &[Token], start: usize, before: &[String]) -> usize {
        let mut parts = before.to_vec();
        let mut position = start;
        loop {
            match tokens.get(position) {
                Some(Token::Word(word)) if word == "as" => {
                    let alias = tokens.get(position + 1).and_then(Token::word).unwrap_or_default().to_owned();
                    self.import(&parts, Some(alias));
                    return position + 2;
                }
                Some(Token::Word(word)) => {
                    parts.push(word.clone());
                    position += 1;
                }
                Some(Token::Path) => position += 1,
                Some(Token::Sign('{')) => return self.branches(tokens, position + 1, &parts),
                Some(Token::Sign('*')) => {
                    self.names.extend(self.absolute(&parts));
                    return position + 1;
                }
                _ => {
                    self.import(&parts, None);
                    return position;
                }
            }
        }
    }

    fn branches(&mut self, tokens: &[Token], start: usize, before: &[String]) -> usize {
        let mut position = start;
        loop {
            match tokens.get(position) {
                None => return position,
                Some(Token::Sign('}')) => return position + 1,
                Some(Token::Sign(',')) => position += 1,
                Some(_) => position = self.tree(tokens, position, before).max(position + 1),
            }
        }
    }

    fn import(&mut self, parts: &[String], alias: Option<String>) {
        // `{self, …}` names the module in front of it.
        let parts = match parts {
            [before @ .., last] if last == "self" && !before.is_empty() => before,
            _ => parts,
        };
        let Some(absolute) = self.absolute(parts) else { return };
        if let Some(name) = alias.or_else(|| parts.last().cloned()) {
            self.imports.insert(name, absolute.clone());
        }
        self.names.insert(absolute);
    }

    /// From the crate's root; `None` if the path leads into another crate.
    fn absolute(&self, parts: &[String]) -> Option<ModulePath> {
        let mut base = match parts.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.path.clone(),
            first => {
                self.child(first)?;
                self.path.clone()
            }
        };
        for part in parts {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => {
                    base.pop()?;
                }
                name => base.push(name.to_owned()),
            }
        }
        Some(base)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Graph of a crate whose files are given as pairs of name and text; the first is its root.
    pub(crate) fn graph_of(files: &[(&str, &str)]) -> Graph {
        let load = |path: &Path| {
            let name = path.to_string_lossy();
            files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned())
        };
        Tree::with(Path::new(files[0].0), Path::new(""), &load).unwrap().graph()
    }

    fn edges(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let graph = graph_of(files);
        graph.iter().flat_map(|(from, to)| to.keys().map(|to| (from.clone(), to.clone()))).collect()
    }

    fn edge(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn use_trees_and_inline_paths_are_edges() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::{b::{self, B as X}, c::C};"),
            ("b.rs", "fn f() { super::c::g() }"),
            ("c.rs", "pub struct C; fn g() {}"),
        ];
        assert_eq!(edges(&files), [edge("a.rs", "b.rs"), edge("a.rs", "c.rs"), edge("b.rs", "c.rs")]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", "use crate::B;"),
            ("b/mod.rs", "mod inner; pub use inner::B;"),
            ("b/inner.rs", "pub struct B;"),
        ];
        assert_eq!(edges(&files), [edge("a.rs", "b/inner.rs")]);
    }

    #[test]
    fn tests_parents_and_other_crates_are_no_edges() {
        let files = [
            ("lib.rs", "mod a; mod b; use a::A;"),
            ("a.rs", "#[cfg(test)] mod tests { use crate::b::B; } use std::b::X; mod child;"),
            ("a/child.rs", "use super::A; use crate::Root;"),
            ("b.rs", ""),
        ];
        assert_eq!(edges(&files), []);
    }

    #[test]
    fn a_file_of_another_crate_is_left_out() {
        let files = [("lib.rs", "#[path = \"../x.rs\"] #[allow(dead_code)] mod x; mod a;"), ("a.rs", "")];
        assert_eq!(edges(&files), []);
    }

    #[test]
    fn a_module_without_a_file_is_an_error() {
        let load = |path: &Path| (path == Path::new("lib.rs")).then(|| "mod a;".to_owned());
        let error = Tree::with(Path::new("lib.rs"), Path::new(""), &load).unwrap_err();
        assert_eq!(error.to_string(), "lib.rs: no file for module a");
    }
}
