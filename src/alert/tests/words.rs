use super::super::words::*;
use super::day;

#[test]
fn numbers_have_separators_and_no_more_decimals_than_one_reads() {
    let table = [
        (0.0, "0"),
        (-0.0, "0"),
        (0.25, "0.25"),
        (12.5, "12.5"),
        (99.999, "100"),
        (123.45, "123.5"),
        (999.96, "1,000"),
        (1_234.5, "1,234.5"),
        (1_234_567.0, "1,234,567"),
        (-1_234.0, "-1,234"),
        (100.0, "100"),
        (1e12, "1,000,000,000,000"),
    ];
    for (value, text) in table {
        assert_eq!(number(value), text, "{value:?}");
    }
    assert_eq!(credits(1.0), "1 credit");
    assert_eq!(credits(0.5), "0.5 credits");
}

#[test]
fn all_is_said_only_of_all() {
    let table = [
        (0.8, "80%"),
        (0.999_9, "99%"),
        (1.0, "100%"),
        (0.29, "29%"),
        (12.345, "1,234%"),
    ];
    for (ratio, text) in table {
        assert_eq!(percent(ratio), text, "{ratio}");
    }
    assert_eq!(exact_percent(0.855), "85.5%");
    assert_eq!(exact_percent(0.29), "29%");
}

#[test]
fn a_year_is_said_only_where_it_differs() {
    let today = day("2026-11-23");
    assert_eq!(date(day("2026-11-07"), today), "7 Nov");
    assert_eq!(date(day("2025-12-31"), today), "31 Dec 2025");
    let (first, last) = (day("2025-12-31"), day("2026-01-30"));
    assert_eq!(dates(first, last, today), "from 31 Dec 2025 through 30 Jan");
    assert_eq!(dates(last, last, today), "on 30 Jan");
}

#[test]
fn small_counts_are_words() {
    let days = |number| count(number, "day", "days");
    assert_eq!(days(0), "no days");
    assert_eq!(days(1), "one day");
    assert_eq!(days(12), "twelve days");
    assert_eq!(days(13), "13 days");
    assert_eq!(days(1_000), "1,000 days");
}
