//! Everything that the program says, on good input and bad: a test for each folder of `cases`.

use wafermill_tests::case::check_all;

#[test]
fn errors_in_a_pipeline_file_are_told_with_their_place() {
    check_all("pipeline");
}

#[test]
fn sources_that_cannot_be_read_are_refused_before_anything_is_written() {
    check_all("source");
}

#[test]
fn plugins_that_are_none_are_refused() {
    check_all("plugin");
}

#[test]
fn data_that_a_step_refuses_is_told_with_column_and_rows() {
    check_all("data");
}

#[test]
fn a_model_is_applied_only_to_what_it_fits() {
    check_all("model");
}

#[test]
fn what_is_at_the_destination_is_not_replaced_by_accident() {
    check_all("output");
}

#[test]
fn commands_print_their_help_and_what_they_are_asked_for() {
    check_all("command");
}
