//! GitHub's expressions, evaluated. zizmor's parser reads them.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>

use anyhow::{Context as _, bail};
use github_actions_expressions::{
    Expr, SpannedExpr,
    call::{Call, Function},
    context::Context as Path,
    literal::Literal,
    op::{BinExpr, BinOp},
};
use serde_json::{Map, Value, json};

use super::value::{equal, holds, is_less, number, text};

/// What expressions are evaluated in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// `github`, `needs`, `steps` and the like. One that is not here cannot be named.
    pub(crate) contexts: Map<String, Value>,
    /// How it went so far.
    pub(crate) status: Status,
}

/// What the status functions answer by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything before succeeded.
    #[default]
    Success,
    /// Something failed.
    Failure,
    /// Somebody cancelled it.
    Cancelled,
    /// What is needed was skipped: neither of the others.
    Skipped,
}

impl Scope {
    /// Adds a context.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.contexts.insert(name.to_owned(), value);
        self
    }

    /// What a text of a workflow means: where it is one `${{ … }}` and nothing else, the value itself, else the text with
    /// each of them replaced.
    ///
    /// # Errors
    /// When an expression cannot be parsed, or names what is not there.
    pub(crate) fn value(&self, template: &str) -> anyhow::Result<Value> {
        let parts = parts(template)?;
        if let [Part::Expression(only)] = parts.as_slice() {
            return self.evaluate(only);
        }
        let mut whole = String::new();
        for part in parts {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Expression(expression) => whole += &text(&self.evaluate(expression)?),
            }
        }
        Ok(Value::String(whole))
    }

    /// As [`Self::value`], as text.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub(crate) fn text(&self, template: &str) -> anyhow::Result<String> {
        self.value(template).map(|value| text(&value))
    }

    /// Whether an `if` lets its job or step run. One that asks for no status means success besides.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub(crate) fn lets_run(&self, condition: Option<&str>) -> anyhow::Result<bool> {
        let succeeded = self.status == Status::Success;
        let Some(condition) = condition else {
            return Ok(succeeded);
        };
        let condition = bare(condition);
        let asks = asks_for_status(&parse(condition)?);
        Ok((asks || succeeded) && holds(&self.evaluate(condition)?))
    }

    fn evaluate(&self, expression: &str) -> anyhow::Result<Value> {
        let parsed = parse(expression)?;
        self.of(&parsed)
            .with_context(|| format!("evaluate `{}`", expression.trim()))
    }

    fn of(&self, expression: &SpannedExpr<'_>) -> anyhow::Result<Value> {
        match &expression.inner {
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Call(call) => self.called(call),
            Expr::Context(path) => self.at(path),
            Expr::Index(index) => self.of(index),
            Expr::UnExpr { expr, .. } => Ok(json!(!holds(&self.of(expr)?))),
            Expr::BinExpr(pair) => self.of_pair(pair),
            Expr::Identifier(name) => bail!("{} stands alone", name.as_str()),
            Expr::Star => bail!("a star stands alone"),
        }
    }

    fn of_pair(&self, BinExpr { lhs, op, rhs }: &BinExpr<'_>) -> anyhow::Result<Value> {
        let left = self.of(lhs)?;
        // As in JavaScript: it is one of the two values, not a boolean.
        match op {
            BinOp::And if !holds(&left) => return Ok(left),
            BinOp::Or if holds(&left) => return Ok(left),
            _ => {}
        }
        let right = self.of(rhs)?;
        Ok(match op {
            BinOp::And | BinOp::Or => right,
            BinOp::Eq => json!(equal(&left, &right)),
            BinOp::Neq => json!(!equal(&left, &right)),
            BinOp::Lt => json!(is_less(&left, &right)),
            BinOp::Gt => json!(is_less(&right, &left)),
            BinOp::Le => json!(is_less(&left, &right) || equal(&left, &right)),
            BinOp::Ge => json!(is_less(&right, &left) || equal(&left, &right)),
        })
    }

    fn at(&self, path: &Path<'_>) -> anyhow::Result<Value> {
        let Some((head, rest)) = path.parts.split_first() else {
            bail!("an empty path");
        };
        let mut value = match &head.inner {
            Expr::Identifier(name) => {
                let found = member(&self.contexts, name.as_str());
                found.with_context(|| format!("there is no `{}` here", name.as_str()))?
            }
            _ => self.of(head)?,
        };
        let mut starred = false;
        for part in rest {
            let key = match &part.inner {
                Expr::Identifier(name) => json!(name.as_str()),
                Expr::Index(index) if matches!(index.inner, Expr::Star) => Value::Null,
                Expr::Index(index) => self.of(index)?,
                Expr::Star => Value::Null,
                _ => bail!("`{}` is no step of a path", part.origin.raw),
            };
            if key.is_null() {
                starred = true;
                value = Value::Array(members(value));
            } else if starred && key.is_string() {
                let found = members(value).into_iter().map(|item| step(item, &key));
                value = found.filter(|item| !item.is_null()).collect();
            } else {
                value = step(value, &key);
            }
        }
        Ok(value)
    }

    fn called(&self, Call { func, args }: &Call<'_>) -> anyhow::Result<Value> {
        let values = args.iter().map(|argument| self.of(argument));
        let values: Vec<Value> = values.collect::<Result<_, _>>()?;
        let first = values.first().unwrap_or(&Value::Null);
        let second = values.get(1).unwrap_or(&Value::Null);
        let lower = |value: &Value| text(value).to_lowercase();
        Ok(match func {
            Function::Success => json!(self.status == Status::Success),
            Function::Failure => json!(self.status == Status::Failure),
            Function::Cancelled => json!(self.status == Status::Cancelled),
            Function::Always => json!(true),
            Function::Contains => json!(match first {
                Value::Array(items) => items.iter().any(|item| equal(item, second)),
                _ => lower(first).contains(&lower(second)),
            }),
            Function::StartsWith => json!(lower(first).starts_with(&lower(second))),
            Function::EndsWith => json!(lower(first).ends_with(&lower(second))),
            Function::Format => json!(formatted(&text(first), &values[1..])?),
            Function::Join => json!(joined(first, values.get(1))),
            Function::ToJSON => json!(serde_json::to_string_pretty(first)?),
            Function::FromJSON => serde_json::from_str(&text(first)).context("fromJSON")?,
            Function::Case => chosen(&values),
            Function::HashFiles => bail!("hashFiles is not modelled"),
        })
    }
}

/// Reads an expression.
///
/// # Errors
/// When it is none, or calls a function that GitHub does not have.
pub(crate) fn parse(expression: &str) -> anyhow::Result<SpannedExpr<'_>> {
    let trimmed = expression.trim();
    Expr::parse(trimmed).with_context(|| format!("read `{trimmed}`"))
}

/// The expressions of a text of a workflow.
///
/// # Errors
/// When one has no end.
pub(crate) fn expressions(template: &str) -> anyhow::Result<Vec<&str>> {
    let parts = parts(template)?.into_iter();
    let only = parts.filter_map(|part| match part {
        Part::Expression(expression) => Some(expression),
        Part::Text(_) => None,
    });
    Ok(only.collect())
}

/// An `if` may do without the braces.
pub(crate) fn bare(condition: &str) -> &str {
    let trimmed = condition.trim();
    let inner = trimmed.strip_prefix("${{");
    let inner = inner.and_then(|rest| rest.strip_suffix("}}"));
    inner
        .filter(|inner| !inner.contains("${{"))
        .unwrap_or(trimmed)
}

enum Part<'a> {
    Text(&'a str),
    Expression(&'a str),
}

fn parts(template: &str) -> anyhow::Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${{") {
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        let end = end(after).with_context(|| format!("`${{{{{after}` has no end"))?;
        parts.push(Part::Expression(&after[..end]));
        rest = &after[end + 2..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Where `}}` stands outside a string.
fn end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, letter)| {
        quoted ^= letter == '\'';
        (!quoted && text[at..].starts_with("}}")).then_some(at)
    })
}

fn asks_for_status(expression: &SpannedExpr<'_>) -> bool {
    match &expression.inner {
        Expr::Call(Call { func, args }) => {
            let status = [
                Function::Success,
                Function::Failure,
                Function::Cancelled,
                Function::Always,
            ];
            status.contains(func) || args.iter().any(asks_for_status)
        }
        Expr::Index(index) => asks_for_status(index),
        Expr::Context(path) => path.parts.iter().any(asks_for_status),
        Expr::UnExpr { expr, .. } => asks_for_status(expr),
        Expr::BinExpr(BinExpr { lhs, rhs, .. }) => asks_for_status(lhs) || asks_for_status(rhs),
        Expr::Literal(_) | Expr::Star | Expr::Identifier(_) => false,
    }
}

fn of_literal(literal: &Literal<'_>) -> Value {
    match literal {
        Literal::Number(number) => json!(number),
        Literal::String(text) => json!(text),
        Literal::Boolean(flag) => json!(flag),
        Literal::Null => Value::Null,
    }
}

/// Names are the same in capitals.
fn member(object: &Map<String, Value>, name: &str) -> Option<Value> {
    let mut entries = object.iter();
    let found = entries.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone())
}

fn members(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(object) => object.into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

/// What is not there is null.
fn step(value: Value, key: &Value) -> Value {
    match (&value, key) {
        (Value::Object(object), key) => member(object, &text(key)).unwrap_or_default(),
        (Value::Array(items), key) => {
            let mut numbered = items.iter().zip(0_i32..);
            let found = numbered.find(|(_, at)| number(key) == Some(f64::from(*at)));
            found.map(|(item, _)| item.clone()).unwrap_or_default()
        }
        _ => Value::Null,
    }
}

/// `{0}` is the first of `values`, and a doubled brace is one.
fn formatted(pattern: &str, values: &[Value]) -> anyhow::Result<String> {
    let mut whole = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => {
                letters.next();
                whole.push(letter);
            }
            '{' => {
                let place: String = letters.by_ref().take_while(|it| *it != '}').collect();
                let value = place.parse().ok().and_then(|at: usize| values.get(at));
                let value = value.with_context(|| format!("format has nothing for {{{place}}}"))?;
                whole += &text(value);
            }
            '}' => bail!("format({pattern:?}) has a lone brace"),
            _ => whole.push(letter),
        }
    }
    Ok(whole)
}

fn joined(items: &Value, separator: Option<&Value>) -> String {
    let separator = separator.map_or_else(|| ",".to_owned(), text);
    match items {
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(&separator),
        other => text(other),
    }
}

/// `case(condition, value, …, otherwise)`
fn chosen(values: &[Value]) -> Value {
    let mut pairs = values.chunks_exact(2);
    let found = pairs.find(|pair| holds(&pair[0]));
    let found = found.map(|pair| &pair[1]).or(values.last());
    found.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn scope() -> Scope {
        Scope::default()
            .with("github", json!({ "event_name": "push", "event": { "pull_request": null, "labels": [{ "name": "a" }, { "name": "b" }] } }))
            .with("needs", json!({ "plan": { "outputs": { "verdict": "planned" }, "result": "success" } }))
            .with("inputs", json!({ "pr": "7", "force": false }))
    }

    fn table(lines: &[&str]) -> String {
        let scope = scope();
        let shown = lines.iter().map(|line| match scope.evaluate(line) {
            Ok(value) => format!("{line}  →  {value}"),
            Err(error) => format!("{line}  →  {error:#}"),
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn values_are_what_github_makes_of_them() {
        assert_snapshot!(table(&[
            "1 == '1'",
            "'Push' == github.event_name",
            "null == 0 && '' == 0",
            "'a' < 'B'",
            "github.event.pull_request.head.sha || 'none'",
            "inputs.pr && format('#{0} {{at}} {1}', inputs.pr, true)",
            "inputs.force || ''",
            "!inputs.force",
            "github.event.labels.*.name",
            "contains(github.event.labels.*.name, 'B')",
            "startsWith('commit-1', 'COMMIT-')",
            "github['event_name']",
            "github.event.labels[1].name",
            "join(github.event.labels.*.name, '+')",
            "fromJSON('[1, 2]')[1]",
            "toJSON(inputs.force)",
            "case(false, 1, true, 2, 3)",
            "needs.plan.outputs.nothing",
            "secrets.KEY",
            "hashFiles('x')",
            "startWith('a', 'a')",
            "format('{1}', 'a')",
        ]), @r##"
        1 == '1'  →  true
        'Push' == github.event_name  →  true
        null == 0 && '' == 0  →  true
        'a' < 'B'  →  true
        github.event.pull_request.head.sha || 'none'  →  "none"
        inputs.pr && format('#{0} {{at}} {1}', inputs.pr, true)  →  "#7 {at} true"
        inputs.force || ''  →  ""
        !inputs.force  →  true
        github.event.labels.*.name  →  ["a","b"]
        contains(github.event.labels.*.name, 'B')  →  true
        startsWith('commit-1', 'COMMIT-')  →  true
        github['event_name']  →  "push"
        github.event.labels[1].name  →  "b"
        join(github.event.labels.*.name, '+')  →  "a+b"
        fromJSON('[1, 2]')[1]  →  2
        toJSON(inputs.force)  →  "false"
        case(false, 1, true, 2, 3)  →  2.0
        needs.plan.outputs.nothing  →  null
        secrets.KEY  →  evaluate `secrets.KEY`: there is no `secrets` here
        hashFiles('x')  →  evaluate `hashFiles('x')`: hashFiles is not modelled
        startWith('a', 'a')  →  read `startWith('a', 'a')`: Invalid function call: Unknown function: startWith
        format('{1}', 'a')  →  evaluate `format('{1}', 'a')`: format has nothing for {1}
        "##);
    }

    #[test]
    fn a_text_is_one_value_or_text_with_values_in_it() {
        let scope = scope();
        assert_eq!(scope.value("${{ inputs.force }}").unwrap(), json!(false));
        let text = scope.text("a ${{ '}}' }} ${{ inputs.pr }}").unwrap();
        assert_eq!(text, "a }} 7");
        assert_eq!(scope.text("plain").unwrap(), "plain");
        assert!(scope.text("${{ inputs.pr").is_err());
    }

    #[test]
    fn an_if_means_success_unless_it_asks() {
        let lets = |status: Status, condition: &str| {
            let scope = Scope { status, ..scope() };
            scope.lets_run(Some(condition)).unwrap()
        };
        assert!(lets(Status::Success, "github.event_name == 'push'"));
        assert!(!lets(Status::Failure, "github.event_name == 'push'"));
        assert!(!lets(Status::Skipped, "${{ inputs.pr }}"));
        assert!(lets(Status::Skipped, "!cancelled() && inputs.pr"));
        assert!(lets(Status::Failure, "${{ failure() }}"));
        assert!(!lets(Status::Cancelled, "!cancelled() && inputs.pr"));
        assert!(lets(Status::Cancelled, "always()"));
        let scope = scope();
        assert!(scope.lets_run(None).unwrap());
    }
}
