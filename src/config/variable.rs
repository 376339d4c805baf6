//! `${NAME}` in a scalar.

/// Replaces every `${NAME}` in one pass: what a variable holds is not looked
/// at again. `$${` stands for `${`. Also says whether anything was replaced.
///
/// # Errors
/// What is wrong with the scalar, without any part of it but names of
/// variables; also where more than `room` bytes would come of it.
pub(super) fn replace(
    text: &str,
    var: &dyn Fn(&str) -> Option<String>,
    room: usize,
) -> Result<(String, bool), Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut expanded = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((name, after)) = named(after) else {
                problems.push(
                    "`${` is not followed by a variable's name and `}`: write `${NAME}`, \
                     or `$${` for the two characters themselves"
                        .to_owned(),
                );
                break;
            };
            match var(name) {
                Some(value) if out.len() + value.len() <= room => out.push_str(&value),
                Some(_) => {
                    problems.push(format!("with `{name}` replaced, this is too long"));
                    break;
                }
                None => {
                    let problem = format!(
                        "the environment variable `{name}` is not set: \
                         set it, or write the value here"
                    );
                    if !problems.contains(&problem) && problems.len() < 8 {
                        problems.push(problem);
                    }
                }
            }
            expanded = true;
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    if problems.is_empty() {
        Ok((out, expanded))
    } else {
        Err(problems)
    }
}

/// The name at the start, and what follows its closing brace.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('}')?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = name.len() <= 256
        && name.bytes().all(word)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    good.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<(String, bool), Vec<String>> {
        let var = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "NESTED" => Some("${A} $${A} }".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        replace(text, &var, 100)
    }

    #[test]
    fn variables_are_replaced_once_and_anywhere() {
        for (text, want) in [
            ("${A}", "one"),
            ("x${A}y${A}z", "xoneyonez"),
            ("${NESTED}", "${A} $${A} }"),
            ("[${EMPTY}]", "[]"),
        ] {
            assert_eq!(replaced(text), Ok((want.to_owned(), true)), "{text}");
        }
        for (text, want) in [
            ("$${A}", "${A}"),
            ("$$A $A $", "$$A $A $"),
            ("$$${A}", "$${A}"),
            ("a } b", "a } b"),
        ] {
            assert_eq!(replaced(text), Ok((want.to_owned(), false)), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let problems = replaced("${B}-${C}-${B}").unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("`B`") && problems[1].contains("`C`"));
        for wrong in ["${", "${}", "${A", "${A:-x}", "${1A}", "${A B}", "${é}"] {
            assert!(replaced(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_comes_of_it_is_bounded() {
        assert!(replaced(&"${A}".repeat(33)).is_ok());
        assert!(replaced(&"${A}".repeat(34)).is_err());
    }
}
