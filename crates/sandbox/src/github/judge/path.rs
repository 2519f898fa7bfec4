//! Templates of paths, such as `/repos/{owner}/{repo}/pulls/{pull_number}`.

/// The last parameter of these may hold slashes: a branch, a file's path, two refs.
const MANY_SEGMENTS: [&str; 4] = [
    "/contents/{path}",
    "/git/ref/{ref}",
    "/git/matching-refs/{ref}",
    "/compare/{basehead}",
];

#[derive(Debug)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// A path with named parameters.
#[derive(Debug)]
pub(super) struct Template {
    path: String,
    segments: Vec<Segment>,
    many: bool,
}

impl Template {
    pub(super) fn new(path: &str) -> Self {
        let segments = path
            .split('/')
            .map(|segment| {
                match segment
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
                {
                    Some(name) => Segment::Parameter(name.to_owned()),
                    None => Segment::Literal(segment.to_owned()),
                }
            })
            .collect();
        Self {
            path: path.to_owned(),
            segments,
            many: MANY_SEGMENTS.iter().any(|end| path.ends_with(end)),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// How many segments are literal: the more, the better a path that fits is described.
    pub(super) fn literals(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| matches!(segment, Segment::Literal(_)))
            .count()
    }

    /// The parameters' values when `path` fits, each percent-decoded once.
    pub(super) fn fit(&self, path: &str) -> Option<Vec<(String, String)>> {
        let limit = if self.many {
            self.segments.len()
        } else {
            usize::MAX
        };
        let given: Vec<&str> = path.splitn(limit, '/').collect();
        if given.len() != self.segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, given) in self.segments.iter().zip(given) {
            match segment {
                Segment::Literal(literal) if literal == given => {}
                Segment::Parameter(name) if !given.is_empty() => {
                    parameters.push((name.clone(), decode(given)));
                }
                _ => return None,
            }
        }
        Some(parameters)
    }
}

/// Percent-decodes once; what is not an escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match escape_at(text, i) {
            Some(byte) => {
                decoded.push(byte);
                i += 3;
            }
            None => {
                decoded.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Whether `text` holds something that looks like a percent-escape.
pub(super) fn has_escape(text: &str) -> bool {
    (0..text.len()).any(|i| escape_at(text, i).is_some())
}

fn escape_at(text: &str, i: usize) -> Option<u8> {
    if text.as_bytes().get(i) != Some(&b'%') {
        return None;
    }
    let digits = text.get(i + 1..i + 3)?;
    u8::from_str_radix(digits, 16).ok()
}

/// Splits a query string into decoded pairs, in order.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&key.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_with_slashes_is_one_parameter() {
        let template = Template::new("/repos/{owner}/{repo}/git/ref/{ref}");
        let fit = template
            .fit("/repos/acme/shop/git/ref/heads/feature/cart")
            .unwrap();
        assert_eq!(fit[2], ("ref".to_owned(), "heads/feature/cart".to_owned()));
    }

    #[test]
    fn a_label_is_decoded_exactly_once() {
        let template = Template::new("/repos/{owner}/{repo}/labels/{name}");
        let fit = template
            .fit("/repos/a/b/labels/image-digest%2Fweb%3Asha256")
            .unwrap();
        assert_eq!(fit[2].1, "image-digest/web:sha256");
        let twice = template
            .fit("/repos/a/b/labels/image-digest%252Fweb")
            .unwrap();
        assert!(has_escape(&twice[2].1));
    }
}
