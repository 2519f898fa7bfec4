//! The sum, object by object, as people read it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::amount::{Resource, Usage};
use super::count::Need;
use crate::markdown::code_cell;

/// Rows that a table shows; more are put together in one.
const ROWS: usize = 40;

/// Who needs how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Each object with what it needs.
    pub lines: Vec<Line>,
    /// What is allowed altogether; the table's columns.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    pub hard: Usage,
}

/// What one object needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The object.
    pub object: String,
    /// How many pods of it that are; 0 where it has none.
    pub pods: u32,
    /// What they and its volumes use together.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    pub uses: Usage,
}

impl Line {
    pub(super) fn of(need: &Need) -> Self {
        Self {
            object: need.shown.clone(),
            pods: need.pods,
            uses: need.at_rest(),
        }
    }

    fn shown(&self) -> (String, String) {
        let times = match self.pods {
            0 | 1 => String::new(),
            pods => format!(" × {pods}"),
        };
        (self.object.clone(), times)
    }
}

impl Table {
    /// All of it together.
    #[must_use]
    pub fn sum(&self) -> Usage {
        self.lines.iter().map(|line| line.uses.clone()).sum()
    }

    /// The same with these columns alone, and without the objects that need nothing of them.
    pub(super) fn only(self, resources: &[Resource]) -> Self {
        let only = |usage: &Usage| {
            let kept = usage.iter().filter(|(named, _)| resources.contains(named));
            kept.fold(Usage::none(), |usage, (resource, amount)| {
                usage.with(resource, amount)
            })
        };
        let lines = self.lines.into_iter().map(|line| Line {
            uses: only(&line.uses),
            ..line
        });
        Self {
            lines: lines.filter(|line| line.uses != Usage::none()).collect(),
            hard: only(&self.hard),
        }
    }

    fn columns(&self) -> Vec<Resource> {
        self.hard.iter().map(|(resource, _)| resource).collect()
    }

    /// The objects, the sum and the limit, each with its amounts in the order of the columns.
    fn rows(&self) -> Vec<((String, String), Vec<String>)> {
        let columns = self.columns();
        let amounts = |usage: &Usage| -> Vec<String> {
            let shown = columns.iter().map(|column| column.show(usage.of(*column)));
            shown.collect()
        };
        let mut rows: Vec<_> = self.lines[..self.lines.len().min(ROWS)]
            .iter()
            .map(|line| (line.shown(), amounts(&line.uses)))
            .collect();
        if self.lines.len() > ROWS {
            let more = &self.lines[ROWS..];
            let uses: Usage = more.iter().map(|line| line.uses.clone()).sum();
            let name = format!("{} more", more.len());
            rows.push(((name, String::new()), amounts(&uses)));
        }
        rows
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let columns = self.columns();
        let mut out = "| |".to_owned();
        for column in &columns {
            let _ = write!(out, " {column} |");
        }
        let _ = write!(out, "\n|---|{}\n", "---:|".repeat(columns.len()));
        for ((object, times), amounts) in self.rows() {
            let _ = writeln!(
                out,
                "| {}{times} | {} |",
                code_cell(&object),
                amounts.join(" | ")
            );
        }
        for (name, usage) in [("Together", &self.sum()), ("Allowed", &self.hard)] {
            let shown = columns.iter().map(|column| column.show(usage.of(*column)));
            let shown: Vec<String> = shown.map(|amount| format!("**{amount}**")).collect();
            let _ = writeln!(out, "| **{name}** | {} |", shown.join(" | "));
        }
        out
    }

    /// As lines of a log, in columns.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let columns = self.columns();
        let mut rows: Vec<Vec<String>> = vec![
            std::iter::once(String::new())
                .chain(columns.iter().map(ToString::to_string))
                .collect(),
        ];
        for ((object, times), amounts) in self.rows() {
            rows.push(
                std::iter::once(format!("{object}{times}"))
                    .chain(amounts)
                    .collect(),
            );
        }
        for (name, usage) in [("together", &self.sum()), ("allowed", &self.hard)] {
            let shown = columns.iter().map(|column| column.show(usage.of(*column)));
            rows.push(std::iter::once(name.to_owned()).chain(shown).collect());
        }
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut line = format!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                let _ = write!(line, "  {cell:>width$}");
            }
            line
        };
        rows.iter().map(line).collect()
    }
}
