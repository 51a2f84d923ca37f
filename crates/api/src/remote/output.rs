//! Answers for people.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::Answer;

/// A list of objects as a table, an object as one line for each member, with its lists behind it.
#[must_use]
pub fn table(value: &Value) -> String {
    match value {
        Value::Array(rows) => rows_of(rows),
        Value::Object(members) => members_of(members),
        plain => format!("{}\n", text(plain)),
    }
}

fn members_of(members: &Map<String, Value>) -> String {
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().any(Value::is_object));
    let width = members.iter().filter(|(_, value)| !is_list(value)).map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in members.iter().filter(|(_, value)| !is_list(value)) {
        line(&mut out, format_args!("{name:width$}  {}", text(value)));
    }
    for (name, value) in members.iter().filter(|(_, value)| is_list(value)) {
        line(&mut out, format_args!("{name}:"));
        out.push_str(&table(value));
    }
    out
}

fn rows_of(rows: &[Value]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut cells: Vec<Vec<String>> = vec![names.iter().map(|name| (*name).clone()).collect()];
    cells.extend(rows.iter().map(|row| names.iter().map(|name| row.get(name).map_or(String::new(), text)).collect()));
    let width_of = |column: usize| cells.iter().map(|row: &Vec<String>| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width_of).collect();
    let mut out = String::new();
    for row in &cells {
        let padded: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(&mut out, format_args!("{}", padded.join("  ").trim_end()));
    }
    out
}

/// A value in a cell; control characters could do anything to a terminal.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Why the service has said no: the problem's title and status, its detail, its fields, and the request to ask about.
#[must_use]
pub fn problem(answer: &Answer) -> String {
    let body = answer.json();
    let member = |name: &str| body.get(name).map(text);
    let Some(title) = member("title") else {
        return format!("the service has answered {}: {}", answer.status, shortened(&text(&body)));
    };
    let slug = member("type").unwrap_or_default();
    let mut out = format!("{title} ({} {})", answer.status, slug.rsplit('/').next().unwrap_or_default());
    let errors = body.get("errors").and_then(Value::as_array);
    match errors {
        Some(errors) => {
            for error in errors {
                let field = error.get("field").map(text).unwrap_or_default();
                let message = error.get("message").map(text).unwrap_or_default();
                add(&mut out, format_args!("\n  {field}: {message}"));
            }
        }
        None => member("detail").into_iter().for_each(|detail| add(&mut out, format_args!("\n  {detail}"))),
    }
    let known = ["type", "title", "status", "detail", "instance", "errors", "message"];
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| !known.contains(&name.as_str())) {
        add(&mut out, format_args!("\n  {name}: {}", text(value)));
    }
    member("instance").into_iter().for_each(|id| add(&mut out, format_args!("\n  request id: {id}")));
    out
}

/// What is no problem document may be a proxy's whole page.
/// What the service has said instead of what it was asked for.
#[must_use]
pub fn no_json(answer: &Answer) -> String {
    let said = text(&String::from_utf8_lossy(&answer.body).into());
    format!(
        "the service has answered {}, but not with all of a JSON object or list: {}",
        answer.status,
        shortened(&said)
    )
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    text.chars().take(CHARACTERS_MAX).collect()
}

fn line(out: &mut String, what: std::fmt::Arguments<'_>) {
    add(out, what);
    out.push('\n');
}

fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).unwrap_or_default(); // A string takes everything.
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_a_line_for_each_member_and_a_list_is_a_table() {
        let order = json!({
            "order_id": "o", "expires_at": null,
            "lines": [{"product_id": "a", "quantity": 10}, {"product_id": "bcd\u{1b}[2J", "quantity": 1, "more": true}],
        });
        let expected = "expires_at  -\norder_id    o\nlines:\n\
            product_id  quantity  more\na           10\nbcd [2J     1         true\n";
        let mut lines: Vec<_> = table(&order).lines().map(str::to_owned).collect();
        lines[..2].sort();
        assert_eq!(lines.join("\n") + "\n", expected);
        assert_eq!(table(&json!([])), "\n");
        assert_eq!(table(&json!("plain")), "plain\n");
    }

    #[test]
    fn a_problem_says_what_a_person_can_do_about_it() {
        for (status, body, says) in [
            (
                409,
                json!({"type": "/problems/insufficient-stock", "title": "Not enough", "status": 409,
                    "detail": "5 asked for", "instance": "r-1", "available": 3}),
                "Not enough (409 insufficient-stock)\n  5 asked for\n  available: 3\n  request id: r-1",
            ),
            (
                422,
                json!({"type": "/problems/invalid-request", "title": "No", "status": 422, "detail": "x: y",
                    "errors": [{"field": "x", "message": "y"}], "instance": "r-2"}),
                "No (422 invalid-request)\n  x: y\n  request id: r-2",
            ),
            (502, json!("<html>"), "the service has answered 502: <html>"),
        ] {
            assert_eq!(problem(&Answer::new(status, body.to_string().into_bytes())), says);
        }
    }
}
