//! The page as HTML.

use std::fmt::{self, Display, Formatter};

use serde_json::{Map, Value};

const HEADLINE: &str = include_str!("headline.txt");

/// What the page shows.
pub(crate) struct Page<'a> {
    /// The commit that the image was built from.
    pub(crate) revision: &'a str,
    /// The name of the environment.
    pub(crate) environment: &'a str,
    /// The API's rows, unless it does not answer.
    pub(crate) notes: Option<&'a [Map<String, Value>]>,
}

impl Display for Page<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let headline = Escaped(HEADLINE.trim_end());
        writeln!(
            to,
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">"
        )?;
        writeln!(to, "<title>{headline}</title>\n<h1>{headline}</h1>")?;
        writeln!(
            to,
            "<p>Environment: <b id=\"environment\">{}</b></p>",
            Escaped(self.environment)
        )?;
        writeln!(
            to,
            "<p>Commit: <code id=\"revision\">{}</code></p>",
            Escaped(self.revision)
        )?;
        match self.notes {
            None => writeln!(to, "<p>The API does not answer.</p>"),
            Some([]) => writeln!(to, "<p>There are no notes.</p>"),
            Some(notes @ [first, ..]) => table(to, first, notes),
        }
    }
}

/// The columns are those of the first row: what the API has to say is its own affair.
fn table(
    to: &mut Formatter<'_>,
    first: &Map<String, Value>,
    notes: &[Map<String, Value>],
) -> fmt::Result {
    write!(to, "<table>\n<tr>")?;
    for column in first.keys() {
        write!(to, "<th>{}</th>", Escaped(column))?;
    }
    writeln!(to, "</tr>")?;
    for note in notes {
        write!(to, "<tr>")?;
        for column in first.keys() {
            match note.get(column) {
                Some(Value::String(text)) => write!(to, "<td>{}</td>", Escaped(text))?,
                Some(other) => write!(to, "<td>{}</td>", Escaped(&other.to_string()))?,
                None => write!(to, "<td></td>")?,
            }
        }
        writeln!(to, "</tr>")?;
    }
    writeln!(to, "</table>")
}

/// Text that means nothing to a browser, in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => to.write_str("&amp;")?,
                '<' => to.write_str("&lt;")?,
                '>' => to.write_str("&gt;")?,
                '"' => to.write_str("&quot;")?,
                '\'' => to.write_str("&#39;")?,
                other => write!(to, "{other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(notes: Option<Value>) -> String {
        let notes: Option<Vec<Map<String, Value>>> =
            notes.map(|notes| serde_json::from_value(notes).unwrap());
        let page = Page {
            revision: "1111111",
            environment: "preview",
            notes: notes.as_deref(),
        };
        page.to_string()
    }

    #[test]
    fn the_page_tells_commit_environment_and_rows() {
        let page = page(Some(json!([{ "id": 1, "text": "hello" }])));
        assert!(page.contains("<b id=\"environment\">preview</b>"), "{page}");
        assert!(
            page.contains("<code id=\"revision\">1111111</code>"),
            "{page}"
        );
        assert!(page.contains("<tr><th>id</th><th>text</th></tr>"), "{page}");
        assert!(page.contains("<tr><td>1</td><td>hello</td></tr>"), "{page}");
    }

    #[test]
    fn what_people_wrote_is_no_markup() {
        let written = "</td><script>alert('\"&')</script>";
        let page = page(Some(json!([{ "text": written }])));
        let expected =
            "<td>&lt;/td&gt;&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;</td>";
        assert!(page.contains(expected), "{page}");
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn a_silent_api_and_an_empty_one_are_told_apart() {
        assert!(page(None).contains("The API does not answer."));
        assert!(page(Some(json!([]))).contains("There are no notes."));
    }

    #[test]
    fn a_row_that_lacks_a_column_keeps_its_place() {
        let page = page(Some(json!([{ "id": 1, "text": "a" }, { "text": "b" }])));
        assert!(page.contains("<tr><td></td><td>b</td></tr>"), "{page}");
    }
}
