//! Which cases must notice which fault, and which cases no twin of the dummy breaks.

use crate::twin::Fault;
use Fault as F;

/// Which cases must notice which fault.
pub(crate) const NOTICED: &[(Fault, &[&str])] = &[
    (F::StartWaitsForTheEnd, &["start_returns_while_the_step_runs"]),
    (F::StepsTakeTurns, &["steps_of_one_task_run_at_the_same_time"]),
    (F::StartAgainIsFine, &["a_second_start_is_an_error", "a_fresh_instance_cannot_start_a_step_again"]),
    (F::PrepareRuns, &["what_was_prepared_has_not_run", "what_was_prepared_can_be_started"]),
    (F::PrepareForgets, &["preparing_what_was_started_is_an_error"]),
    (
        F::EveryExitIsZero,
        &[
            "exit_codes_are_exact",
            "two_may_wait_for_one_step",
            "a_background_step_that_ends_by_itself_tells_its_code",
            "what_ended_while_away_tells_its_own_exit",
            "what_ends_while_nobody_watches_tells_its_own_exit",
            "services_and_detached_steps_are_resumed",
            "a_wait_that_waits_is_answered_by_destroy",
            "services_end_with_the_workflow",
            "detached_steps_end_with_the_workflow",
        ],
    ),
    (F::SignalsAreCodes, &["a_death_by_signal_is_told_from_an_exit_code"]),
    (F::WaitAnswersOnce, &["waiting_after_the_end_answers_again_and_again", "two_may_wait_for_one_step"]),
    (
        F::OnlyItsMakerKnowsAStep,
        &[
            "a_fresh_instance_can_wait",
            "a_resumed_step_behaves_as_a_started_one",
            "resuming_again_changes_nothing",
            "a_fresh_instance_reads_all_output",
        ],
    ),
    (
        F::WaitWaitsForTheOutput,
        &[
            "wait_answers_although_something_holds_the_output",
            "wait_answers_although_something_goes_on_writing",
        ],
    ),
    (
        F::WaitSucceedsAfterDestroy,
        &["a_destroyed_step_is_unknown", "a_step_that_was_never_started_is_unknown"],
    ),
    (
        F::DestroyStepDoesNothing,
        &[
            "a_destroyed_step_is_unknown",
            "a_step_is_asked_to_end_before_it_is_forced",
            "a_step_that_ignores_sigterm_is_forced_to_end",
            "a_tail_ends_when_the_step_is_destroyed",
            "a_wait_that_waits_is_answered_by_destroy",
            "what_was_destroyed_is_not_discovered",
            "a_resumed_step_can_be_destroyed",
        ],
    ),
    (
        F::DestroyStepIsStrict,
        &[
            "a_step_that_was_never_started_is_unknown",
            "a_task_can_be_destroyed_without_set_up",
            "what_was_prepared_and_never_started_is_destroyed",
        ],
    ),
    (F::DestroyStepEndsAll, &["destroying_a_step_leaves_the_others_alone"]),
    (
        F::DestroyStepDoesNotAsk,
        &["a_step_is_asked_to_end_before_it_is_forced", "a_resumed_step_can_be_destroyed"],
    ),
    (
        F::DestroyWorkflowDoesNothing,
        &[
            "a_step_prints_and_exits_0",
            "a_workflow_without_stages_is_set_up_and_destroyed",
            "an_empty_first_stage_is_set_up_and_destroyed",
            "a_uuid_can_be_used_again_and_finds_nothing",
            "a_workflow_is_destroyed_by_a_fresh_instance",
            "endless_output_is_ended",
            "a_destruction_that_was_dropped_can_be_repeated",
            "a_preparation_that_was_dropped_leaves_nothing",
        ],
    ),
    (
        F::DestroyWorkflowIsStrict,
        &["a_task_can_be_destroyed_without_set_up", "a_task_can_be_destroyed_twice"],
    ),
    (
        F::DestroyWorkflowLeavesServices,
        &["services_end_with_the_workflow", "detached_steps_end_with_the_workflow"],
    ),
    (
        F::AllTasksAreOne,
        &[
            "tasks_of_one_workflow_share_no_files",
            "destroying_a_task_leaves_its_twin_alone",
            "ten_tasks_at_the_same_time_keep_apart",
        ],
    ),
    (
        F::AllOwnersAreOne,
        &["another_owner_sees_nothing", "another_owner_destroys_nothing", "another_owner_takes_nothing_over"],
    ),
    (F::StderrIsStdout, &["stdout_and_stderr_come_apart"]),
    (F::OutputIsText, &["output_comes_byte_for_byte"]),
    (
        F::OutputIsCut,
        &[
            "a_line_of_10_mb_comes_whole",
            "a_long_last_line_keeps_its_end",
            "an_unread_tail_does_not_stop_the_step",
        ],
    ),
    (F::OutputComesAtTheEnd, &["output_comes_while_the_step_runs", "closing_a_tail_early_harms_nothing"]),
    (
        F::OutputComesOnce,
        &[
            "output_can_be_read_twice_at_the_same_time",
            "output_can_be_read_after_the_end",
            "a_wait_and_a_tail_that_were_dropped_harm_nothing",
        ],
    ),
    (F::OutputNeverEnds, &["a_silent_step_has_an_empty_output", "a_tail_ends_when_the_step_is_destroyed"]),
    (
        F::PositionsAreIgnored,
        &[
            "a_tail_from_the_middle_gives_exactly_the_rest",
            "a_tail_from_the_middle_of_a_running_step_gives_exactly_the_rest",
            "a_tail_from_the_end_gives_nothing",
            "a_resumed_output_goes_on_where_it_was_left",
            "a_resumed_output_is_read_from_any_position",
        ],
    ),
    (
        F::PositionsAreOffByOne,
        &["a_tail_from_the_middle_gives_exactly_the_rest", "a_tail_from_the_end_gives_nothing"],
    ),
    (F::TypesAreIgnored, &["an_unsupported_type_is_a_typed_error"]),
    (
        F::ImageErrorsAreUntyped,
        &["an_unknown_image_is_a_typed_error", "an_image_that_is_no_reference_is_a_typed_error"],
    ),
    (F::ValuesAreTrimmed, &["values_reach_the_step_exactly"]),
    (F::ValuesAreShared, &["a_steps_variables_are_its_own"]),
    (F::SecretsAreDropped, &["a_secret_reaches_the_step"]),
    (F::HostVariablesLeak, &["the_hosts_environment_does_not_reach_the_step"]),
    (F::EveryVariableIsFine, &["a_variable_that_cannot_be_is_a_typed_error"]),
    (
        F::AnyArchiveIsFine,
        &[
            "a_hostile_archive_is_refused",
            "a_broken_archive_is_refused",
            "a_put_outside_of_the_workspace_is_refused",
            "files_of_an_unknown_task_are_an_error",
        ],
    ),
    (F::ProjectsComeWhole, &["what_a_project_ignores_is_not_brought"]),
    (
        F::ProjectsDoNotCome,
        &["a_projects_files_are_seen_by_steps", "a_project_that_is_not_there_is_an_error"],
    ),
    (F::PutForgetsModes, &["what_was_put_comes_back_as_it_was", "a_later_put_replaces_files"]),
    (
        F::GetFindsNothing,
        &["get_with_nothing_that_matches_is_an_error", "files_of_an_unknown_task_are_an_error"],
    ),
    (F::GetGivesAll, &["get_takes_what_matches_and_nothing_else"]),
    (
        F::DiscoversNothing,
        &[
            "discovery_finds_a_task_with_its_running_steps",
            "every_running_step_of_a_workflow_is_discovered",
            "many_running_steps_are_taken_over_at_once",
        ],
    ),
    (F::DiscoversWithoutLooking, &["nothing_running_is_an_empty_discovery", "another_owner_sees_nothing"]),
    (F::ResumeStarts, &["resuming_what_is_not_there_is_an_error_and_makes_nothing"]),
    (F::ResumeSaysRunning, &["what_ended_while_away_tells_its_own_exit"]),
    (F::ResumeSaysEnded, &["a_resumed_step_behaves_as_a_started_one"]),
    (F::PauseDoesNothing, &["a_paused_step_stands_still_until_it_is_resumed"]),
    (F::SignalDoesNothing, &["a_signal_reaches_the_step"]),
    (
        F::ExecFails,
        &[
            "a_command_runs_beside_the_step",
            "a_commands_exit_code_is_its_own",
            "a_command_reads_its_input",
            "a_command_sees_its_variables_and_the_steps",
        ],
    ),
    (F::ExecAlwaysHasInput, &["a_command_without_input_finds_its_end_at_once"]),
    (F::ExecOutlivesTheStep, &["a_command_in_an_ended_step_is_an_error"]),
    (F::ADroppedSetUpGoesOn, &["a_set_up_that_was_dropped_leaves_nothing"]),
    (F::ADroppedStartGoesOn, &["a_start_that_was_dropped_leaves_nothing"]),
    (F::EveryInstanceIsAnEngine, &["a_fresh_instance_names_the_same_engine"]),
];

/// The plainest of promises, which all the other cases stand on.
pub(crate) const PLAIN: &[&str] = &[
    "a_step_without_environment_runs",
    "odd_step_names_run_or_are_refused_by_name",
    "steps_of_the_same_name_do_not_collide",
    "start_and_end_times_are_in_order",
    "the_order_within_a_stream_is_kept",
    "ten_thousand_variables_reach_the_step",
    "a_value_of_100_kib_reaches_the_step",
    "steps_of_a_task_share_the_workspace",
    "what_was_put_is_seen_by_steps",
    "what_a_step_wrote_can_be_got",
    "a_put_goes_below_its_path",
    "a_step_changes_its_copy_and_not_the_project",
    "large_files_come_back_whole",
    "destroying_a_step_twice_is_fine",
    "a_fresh_instance_runs_the_next_step",
    "a_size_without_a_terminal_is_an_error",
    "a_paused_step_can_be_destroyed",
    "a_running_step_has_stats",
];
