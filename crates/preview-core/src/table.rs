//! Tables for a terminal: columns as wide as what is in them, and one that gives way.

use std::fmt::Write as _;

/// Columns of a terminal from which on all of a table's columns are shown.
const WIDE: usize = 120;

/// A table's columns.
#[derive(Clone, Debug)]
pub(crate) struct Columns<'a, const N: usize> {
    /// What stands above each.
    pub(crate) headings: [&'a str; N],
    /// Those that only a wide terminal has room for.
    pub(crate) wide_only: &'a [usize],
    /// The one that may be cut, which is the last.
    pub(crate) cut: usize,
}

impl<const N: usize> Columns<'_, N> {
    /// The rows, below their headings, as lines of at most `width` columns where the last column can be cut to that.
    pub(crate) fn lines(
        &self,
        rows: impl IntoIterator<Item = [String; N]>,
        width: usize,
    ) -> Vec<String> {
        let rows: Vec<[String; N]> = std::iter::once(self.headings.map(str::to_owned))
            .chain(rows)
            .map(|cells| cells.map(|cell| plain(&cell)))
            .collect();
        let shown = |column: &usize| width >= WIDE || !self.wide_only.contains(column);
        let columns: Vec<usize> = (0..N).filter(shown).collect();
        let longest = |column: usize| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let lines = rows.iter().map(|row| {
            let mut line = String::new();
            for &column in &columns {
                if column == self.cut {
                    let left = width.saturating_sub(line.chars().count());
                    line += &cut(&row[column], left);
                } else {
                    let _ = write!(line, "{:<1$}  ", row[column], longest(column));
                }
            }
            line.trim_end().to_owned()
        });
        lines.collect()
    }
}

/// Without what would move the cursor: titles are written by anybody.
fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}
