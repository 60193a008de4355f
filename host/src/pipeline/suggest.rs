//! What a user may have meant by a name that there is not.

use strsim::osa_distance;

/// The known name that is nearest, if it is near enough to be a slip.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let allowed = length.div_ceil(3).min(length.saturating_sub(1));
    let distances = known.into_iter().map(|other| (osa_distance(name, other), other));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// Names as a list that people read: `a`, `b` and `c`, cut where there are many.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    const MOST: usize = 20;
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        names if names.len() > MOST => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
        [rest @ .., end] => format!("{} {last} {end}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        assert_eq!(nearest("aeg", ["id", "age"]), Some("age"));
        assert_eq!(nearest("standart", ["standard", "minmax"]), Some("standard"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("salary", ["id", "age"]), None);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(["a", "b", "c"], "or"), "`a`, `b` or `c`");
        let many = list((0..25).map(|_| "x"), "and");
        assert!(many.ends_with("and 5 more"), "{many}");
    }
}
