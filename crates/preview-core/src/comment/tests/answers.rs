//! What the comment tells of a command.

use super::*;
use crate::commands::{Answer, Word};

fn answer(told: &str) -> Answer {
    Answer {
        word: Some(Word::Keep),
        login: "alice".into(),
        told: told.into(),
    }
}

#[test]
fn an_answer_stands_beside_what_the_comment_tells_and_takes_the_place_of_the_one_before() {
    let ready = comment(State::Ready).render();
    let once = with_answer(Some(&ready), &answer("it is kept until Monday."));
    let twice = with_answer(Some(&once), &answer("it is kept until Friday."));
    insta::assert_snapshot!(twice, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **Command**: `/preview keep 3d` by `alice`: it is kept until Friday.
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (2/2 replicas)

    </details>
    ");
    let lines = |text: &str| text.lines().count();
    assert_eq!(
        (lines(&once), lines(&twice)),
        (lines(&ready) + 1, lines(&ready) + 1)
    );
}

#[test]
fn the_first_answer_may_be_all_there_is_to_tell() {
    let nobody = Answer {
        word: None,
        login: "a|`b`\n## c".into(),
        told: "There is no such command.".into(),
    };
    let first = with_answer(None, &nobody);
    insta::assert_snapshot!(first, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: ``a|`b` ## c``: There is no such command.
    ");
    let second = with_answer(Some(&first), &answer("it is kept."));
    insta::assert_snapshot!(second, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: `/preview keep 3d` by `alice`: it is kept.
    ");
}
