//! What a person reads on the example's page.

use anyhow::{Context as _, bail};

use super::kube::Answer;

/// The example's page, as somebody reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The headline.
    pub(crate) headline: String,
    /// The commit that its image was built from.
    pub(crate) commit: String,
    /// The environment that it names.
    pub(crate) environment: String,
    /// How many rows it shows, the heads of the columns not counted.
    pub(crate) rows: usize,
}

impl Sight {
    /// Reads a page.
    ///
    /// # Errors
    /// When it is an error, or no page of the example.
    pub(crate) fn read(answer: &Answer) -> anyhow::Result<Self> {
        let body = &answer.body;
        if answer.status != 200 {
            bail!("the page answers {}: {}", answer.status, body.trim());
        }
        let part = |before: &str, after: &str| {
            let (_, rest) = body.split_once(before)?;
            rest.split_once(after).map(|(part, _)| part.to_owned())
        };
        let part = |before, after| {
            part(before, after).with_context(|| format!("the page has no {before:?}: {body}"))
        };
        Ok(Self {
            // In the sandbox it is the image's name.
            headline: part("<h1>", "</h1>")?
                .split('@')
                .next()
                .unwrap_or_default()
                .to_owned(),
            commit: part("id=\"revision\">", "<")?,
            environment: part("id=\"environment\">", "<")?,
            rows: body.matches("<tr><td>").count(),
        })
    }
}

impl std::fmt::Display for Sight {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            headline,
            commit,
            environment,
            rows,
        } = self;
        let commit = commit.get(..7).unwrap_or(commit);
        write!(to, "{headline:?}, {environment}, built from {commit}")?;
        match rows {
            0 => Ok(()),
            rows => write!(to, ", {rows} rows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, body: &str) -> anyhow::Result<Sight> {
        Sight::read(&Answer {
            status,
            body: body.to_owned(),
        })
    }

    #[test]
    fn a_page_is_read_as_the_example_writes_it() {
        let sight = page(
            200,
            "<h1>Notes</h1>\n<p>Environment: <b id=\"environment\">preview</b></p>\n\
             <p>Commit: <code id=\"revision\">1234567890</code></p>\n\
             <table>\n<tr><th>id</th></tr>\n<tr><td>1</td></tr>\n<tr><td>2</td></tr>\n</table>",
        );
        insta::assert_snapshot!(sight.unwrap(), @r#""Notes", preview, built from 1234567, 2 rows"#);
    }

    #[test]
    fn what_is_no_page_is_told() {
        insta::assert_snapshot!(page(503, "no endpoints\n").unwrap_err(), @"the page answers 503: no endpoints");
        insta::assert_snapshot!(page(200, "It works!").unwrap_err(), @r#"the page has no "<h1>": It works!"#);
    }
}
