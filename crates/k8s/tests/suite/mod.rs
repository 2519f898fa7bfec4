//! What a cluster does for us, as stories written against any cluster.

mod access;
mod certificates;
mod dry_runs;
mod errands;
mod kinds;
mod objects;
mod previews;
mod quota;
mod removals;
mod restores;
mod rollouts;
mod snapshots;
mod stage;
mod targets;
mod teardowns;

pub(crate) use access::*;
pub(crate) use certificates::*;
pub(crate) use dry_runs::*;
pub(crate) use errands::*;
pub(crate) use kinds::*;
pub(crate) use objects::*;
pub(crate) use previews::*;
pub(crate) use quota::*;
pub(crate) use removals::*;
pub(crate) use restores::*;
pub(crate) use rollouts::*;
pub(crate) use snapshots::*;
pub(crate) use stage::{Backend, Behaviour, play};
pub(crate) use targets::*;
pub(crate) use teardowns::*;

/// One test per story, each in a namespace of its own on `$backend().await`.
macro_rules! every_story {
    ($backend:path) => {
        crate::suite::every_story! { $backend:
            every_kind_that_we_write_is_served_where_its_definition_is_installed,
            a_route_over_a_gateway_is_applied_as_any_other_object,
            a_route_over_a_gateway_is_judged_by_its_definition,
            what_lies_in_no_namespace_is_the_previews_by_its_labels,
            a_golden_snapshot_is_read_with_the_content_that_it_is_bound_to,
            snapshots_are_judged_by_their_definitions,
            a_content_stays_bound_while_its_snapshot_is_there,
            a_content_of_somebody_else_is_neither_written_nor_removed,
            a_newer_runs_contents_are_neither_written_nor_removed,
            a_preview_made_from_a_snapshot_is_taken_down_with_a_receipt,
            a_content_that_is_held_keeps_the_namespace,
            a_claim_of_a_snapshot_waits_for_a_volume_that_is_meant_for_it,
            a_content_whose_end_would_be_the_snapshots_is_kept,
            an_account_is_told_who_it_is_and_what_it_may_do,
            classes_are_told_with_the_default,
            what_runs_on_every_node_is_listed,
            a_namespace_is_created_once,
            a_change_of_what_is_not_there_any_more_changes_nothing,
            a_change_leaves_what_it_does_not_name,
            namespaces_are_found_by_their_owner,
            a_claim_is_in_every_list_that_is_read_after_it,
            what_is_applied_is_created_then_unchanged_then_changed,
            a_newer_run_is_not_written_over,
            a_namespace_on_its_way_out_takes_nothing,
            a_namespace_of_somebody_else_is_refused,
            a_namespace_cannot_be_applied,
            a_job_that_exists_is_left_alone,
            a_misspelt_field_is_refused_by_name,
            a_probe_of_another_kind_takes_the_place_of_the_one_before,
            a_dry_run_tells_what_would_change_and_changes_nothing,
            a_dry_run_is_refused_as_the_real_thing_would_be,
            what_would_be_pruned_is_told,
            what_is_not_wanted_any_more_is_removed,
            a_newer_run_is_not_pruned,
            what_an_older_run_left_is_removed_and_what_it_had_to_leave_stays,
            a_secret_is_read_and_not_shown,
            a_certificate_is_read_with_what_it_says,
            what_is_no_certificate_is_told,
            a_copy_of_the_certificate_is_renewed,
            a_rollout_ends_with_the_newest_pods_only,
            an_image_that_does_not_exist_fails_within_seconds,
            an_update_that_fails_names_the_new_pod,
            pods_that_are_recreated_are_not_judged_by_those_before,
            what_failed_before_is_tried_anew,
            a_stateful_set_whose_pod_is_stuck_goes_on_with_its_newest_template,
            a_newer_runs_pods_are_not_removed,
            a_container_that_crashes_shows_its_last_words,
            a_container_that_needs_too_much_memory_is_told_so,
            a_missing_secret_is_told_by_name,
            a_quota_that_rejects_pods_is_told,
            the_arithmetic_is_the_quota_controllers,
            one_sidecar_too_much_is_rejected_as_foreseen,
            an_update_without_room_to_surge_completes_in_place,
            how_full_quotas_are_is_told_of_all_previews_at_once,
            what_is_not_ready_in_time_is_told_with_what_it_waits_for,
            a_registry_that_does_not_answer_is_given_time,
            a_pod_that_no_node_takes_is_told_by_the_scheduler,
            a_config_map_that_is_mounted_and_missing_is_told_by_name,
            a_claim_that_nobody_provides_for_is_told_with_its_events,
            a_secret_that_a_container_prints_is_not_shown,
            a_workload_that_is_not_there_is_told,
            a_job_completes,
            a_job_that_fails_shows_its_last_words,
            a_volume_is_gone_when_it_is_said_to_be,
            a_newer_runs_objects_are_not_removed,
            a_job_that_failed_makes_room_for_another_try,
            a_job_that_does_not_stay_is_seen_to_have_ended,
            only_a_job_is_watched_before_it_is_there,
            a_page_is_seen_from_outside,
            a_preview_is_taken_down_with_a_receipt,
            a_teardown_that_died_is_finished,
            what_is_gone_already_has_a_receipt,
            a_foreign_finalizer_blocks_and_is_named,
            a_volume_that_lingers_keeps_the_namespace,
            a_volume_that_its_policy_keeps_is_named_and_not_waited_for,
            a_volume_that_its_policy_keeps_goes_where_that_is_configured,
            a_preview_that_a_newer_run_took_over_is_not_taken_down,
            a_preview_of_somebody_else_is_not_taken_down,
            production_runs_what_was_promoted_and_nothing_else_changes,
            one_promotion_leaves_the_images_of_another,
            a_promotion_is_taken_back,
            a_cron_job_is_a_target_too,
            a_container_that_does_not_exist_is_not_added,
            a_target_that_changed_since_it_was_read_is_not_written,
            a_target_that_git_reconciles_is_told,
            a_lease_has_one_holder_until_one_that_may_takes_it_over,
            a_run_that_lost_its_lease_writes_nothing,
            a_frozen_target_is_not_taken,
            a_target_is_frozen_by_the_run_that_rolls_it_back_and_thawed_by_anybody,
            what_ran_before_a_promotion_is_known_to_every_run_of_it,
            whoever_set_an_image_before_is_known_until_we_set_it,
            a_migration_runs_once_and_one_that_failed_is_tried_again,
            a_run_that_lost_its_lease_runs_nothing,
            the_pods_of_a_workload_are_read_as_its_template_has_them,
        }
    };
    ($backend:path: $($story:ident,)*) => {
        $(#[tokio::test]
        async fn $story() {
            crate::suite::play($backend, async |stage| crate::suite::$story(stage).await).await;
        })*
    };
}
pub(crate) use every_story;
