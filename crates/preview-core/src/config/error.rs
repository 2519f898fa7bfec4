//! What is wrong with a `preview.toml`, and where.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields;

/// A `preview.toml` that cannot be what was meant: file, line and key, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    file: String,
    line: Option<usize>,
    key: String,
    problem: String,
}

impl ConfigError {
    /// The key's path, such as `components.web.port`; empty where the file as a whole is meant.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// A file and where everything stands in it.
pub(super) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    places: Vec<Place>,
}

/// A key or an element, and which bytes of the file it is.
struct Place {
    path: Vec<String>,
    key: Range<usize>,
    value: Range<usize>,
}

impl<'a> Source<'a> {
    /// The places of everything in `text`.
    ///
    /// # Errors
    /// When it is not TOML.
    pub(super) fn new(file: &'a str, text: &'a str) -> Result<Self, ConfigError> {
        let mut source = Self {
            file,
            text,
            places: Vec::new(),
        };
        let root = DeTable::parse(text).map_err(|error| source.not_read(&error))?;
        collect(root.get_ref(), &mut Vec::new(), &mut source.places);
        Ok(source)
    }

    /// The value at `key` is wrong: `problem` says how, and what to write instead.
    pub(super) fn wrong(&self, key: &[&str], problem: impl fmt::Display) -> ConfigError {
        // A value that is not in the file stands where its table does.
        let line = (1..=key.len()).rev().find_map(|depth| {
            let place = self
                .places
                .iter()
                .find(|place| place.path == key[..depth])?;
            Some(self.line_of(place.key.start))
        });
        self.error(line, shown(key), problem.to_string())
    }

    /// Where `key` stands in the file, for the order of things.
    pub(super) fn position(&self, key: &[&str]) -> usize {
        self.places
            .iter()
            .find(|place| place.path == key)
            .map_or(usize::MAX, |place| place.key.start)
    }

    /// What TOML's reader did not like.
    pub(super) fn not_read(&self, error: &toml::de::Error) -> ConfigError {
        let place = error.span().and_then(|span| self.place_of(&span));
        let line = error.span().map(|span| self.line_of(span.start));
        let key: Vec<&str> = place
            .map(|place| place.path.iter().map(String::as_str).collect())
            .unwrap_or_default();
        let message = error.message();
        let problem = match (message.starts_with("unknown field"), key.split_last()) {
            (true, Some((unknown, table))) => unknown_key(table, unknown),
            _ => message.to_owned(),
        };
        self.error(line, shown(&key), problem)
    }

    fn error(&self, line: Option<usize>, key: String, problem: String) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line,
            key,
            problem,
        }
    }

    /// The innermost place around `span`.
    fn place_of(&self, span: &Range<usize>) -> Option<&Place> {
        let around = |range: &Range<usize>| range.start <= span.start && span.end <= range.end;
        self.places
            .iter()
            .filter_map(|place| {
                [&place.key, &place.value]
                    .into_iter()
                    .filter(|range| around(range))
                    .map(|range| (range.len(), std::cmp::Reverse(place.path.len()), place))
                    .min_by_key(|(length, depth, _)| (*length, *depth))
            })
            .min_by_key(|(length, depth, _)| (*length, *depth))
            .map(|(_, _, place)| place)
    }

    fn line_of(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().iter().take(byte);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

fn collect(table: &DeTable<'_>, path: &mut Vec<String>, places: &mut Vec<Place>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        collect_value(key.span(), value, path, places);
        path.pop();
    }
}

fn collect_value(
    key: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    path: &mut Vec<String>,
    places: &mut Vec<Place>,
) {
    places.push(Place {
        path: path.clone(),
        key,
        value: value.span(),
    });
    match value.get_ref() {
        DeValue::Table(table) => collect(table, path, places),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                path.push(format!("[{index}]"));
                collect_value(element.span(), element, path, places);
                path.pop();
            }
        }
        _ => {}
    }
}

/// A path as people write it: `promote.targets[0].name`.
fn shown(path: &[&str]) -> String {
    let mut text = path.join(".");
    text = text.replace(".[", "[");
    text
}

/// What to write instead of the key `unknown` of `table`.
fn unknown_key(table: &[&str], unknown: &str) -> String {
    let levels = fields::levels();
    let here = levels.iter().find(|level| is_at(level.path, table));
    let near = here.and_then(|level| nearest(unknown, level.keys));
    if let Some(near) = near {
        return format!("unknown key; did you mean `{near}`?");
    }
    // Right word, wrong table.
    let elsewhere = levels
        .iter()
        .filter_map(|level| Some((level, nearest(unknown, level.keys)?)))
        .min_by_key(|(_, near)| distance(unknown, near));
    let known = here.map_or(String::new(), |level| level.keys.join(", "));
    match elsewhere {
        Some((level, near)) => {
            let mut path = level.path.to_vec();
            path.push(near);
            let place = shown(&path).replace('*', "<name>");
            format!("unknown key; there is `{place}`, and here: {known}")
        }
        None => format!("unknown key; there are: {known}"),
    }
}

fn is_at(level: &[&str], table: &[&str]) -> bool {
    let fits = |(level, table): (&&str, &&str)| match *level {
        "*" => true,
        "[]" => table.starts_with('['),
        name => name == *table,
    };
    level.len() == table.len() && level.iter().zip(table).all(fits)
}

/// The one of `known` that `word` was meant to be, where one is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance: letters to insert, remove or replace. <https://en.wikipedia.org/wiki/Levenshtein_distance>
/// A swap of two neighbours, the commonest slip, counts as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_near_or_none() {
        let known = ["port", "path", "replicas", "readiness"];
        for (word, near) in [
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("replica", Some("replicas")),
            ("readyness", Some("readiness")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, &known), near, "{word}");
        }
    }

    #[test]
    fn a_distance_counts_slips() {
        for (a, b, slips) in [
            ("", "", 0),
            ("abc", "", 3),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), slips, "{a} {b}");
            assert_eq!(distance(b, a), slips, "{b} {a}");
        }
    }
}
