//! Numbers as text.

/// A double as Java writes it, which is what BigQuery's REST API gives: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub(crate) fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

/// A decimal number from its digits without the point; no zeros end its fraction.
pub(crate) fn decimal(unscaled: &str, scale: usize) -> String {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        let written =
            [0.0, -0.0, 1.0, 0.001, 9_999_999.0, 1e7, -1.25e-4, 1.447216127e9, f64::MAX, f64::NAN].map(double);
        let expected = [
            "0.0",
            "-0.0",
            "1.0",
            "0.001",
            "9999999.0",
            "1.0E7",
            "-1.25E-4",
            "1.447216127E9",
            "1.7976931348623157E308",
            "NaN",
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn decimals_have_their_point_and_no_zeros_behind_the_last_digit() {
        let written = ["0", "1", "-1500000000", "12345678901234567890"].map(|digits| decimal(digits, 9));
        assert_eq!(written, ["0", "0.000000001", "-1.5", "12345678901.23456789"]);
    }
}
