//! The end of a pull request, once for each request that it makes: a run is killed there and run again, or frozen there until
//! the other one has ended, and what is left must be what nothing disturbed leaves.
//!
//! Each in a world of its own beside the others: on a real node with a repository, a preview and a production of its own. The
//! writes are taken, and where `PREVIEW_TEST_EVERY_READ` is set the reads, too.

use std::{cell::Cell, fmt, time::Instant};

use anyhow::ensure;
use futures::{StreamExt as _, stream};
use preview_core::outcome::Program;
use sandbox::{Gate, is_write};

use super::{
    ending::{Ending, Stop, stops},
    stage::Stage,
};

/// Worlds at the same time.
const WORLDS: usize = 4;

/// What is left of a pull request that was closed.
const CLOSED: &str = r#"**Status**: 🗑️ Destroyed
it tells the commit: false
of the preview, the cluster has nothing: true
its image is kept: false
labels: []
defined: []
"preview-environments/progress": inactive
"preview-environments/record": inactive"#;

/// What is left of one that was merged.
const MERGED: &str = r#"**Status**: 🚀 Promoted — production
**Preview**: 🗑️ Destroyed
it tells the commit: true
of the preview, the cluster has nothing: true
production runs what was tested: true
it is set to its digest: true, as of M: true
its image is kept: true
labels: []
defined: []
"preview-environments/progress": inactive
"preview-environments/record": inactive
"preview-environments/promotion": success"#;

/// What happens to the runs that the end of a pull request starts.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    /// A closed one's cleanup is killed there, and run again.
    Cleanup(Stop),
    /// A merged one's promotion is killed there, and run again; its cleanup comes afterwards.
    Promotion(Stop),
    /// A merged one's run of this program is frozen at the first until the other one has come to the second, or ended.
    Frozen(Program, Stop, Stop),
}

impl Disturbance {
    /// What must be left.
    const fn undisturbed(self) -> &'static str {
        match self {
            Self::Cleanup(_) => CLOSED,
            _ => MERGED,
        }
    }

    /// Plays it on `stage`, which is cleared.
    async fn on(self, stage: Stage) -> anyhow::Result<Round> {
        let mut ending = match self {
            Self::Cleanup(_) => Ending::closed(stage).await?,
            _ => Ending::merged(stage).await?,
        };
        let gates = match self {
            Self::Cleanup(stop) => vec![ending.killed(Program::Cleanup, stop).await?],
            Self::Promotion(stop) => vec![ending.killed(Program::Promote, stop).await?],
            Self::Frozen(program, stop, to) => ending.side_by_side(program, stop, to).await?.into(),
        };
        let left = ending.left().await?;
        ending.stage.clear().await?;
        Ok(Round {
            preview: ending.stage.preview()?,
            gates,
            left,
        })
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cleanup(stop) => write!(f, "the cleanup is killed {stop}"),
            Self::Promotion(stop) => write!(f, "the promotion is killed {stop}"),
            Self::Frozen(program, stop, to) => {
                write!(f, "{program} is frozen {stop}, and then the other one {to}")
            }
        }
    }
}

/// What came of one.
struct Round {
    /// The Namespace that there was.
    preview: String,
    /// The gates of the runs that were disturbed.
    gates: Vec<Gate>,
    left: String,
}

impl Round {
    /// Where the runs were stopped.
    fn places(&self) -> String {
        let held = self.gates.iter().filter_map(Gate::held);
        held.collect::<Vec<_>>().join(", ")
    }
}

/// Worlds beside a stage, one for each disturbance.
struct Rounds<'a> {
    stage: &'a Stage,
    began: Instant,
    begun: Cell<u64>,
    /// The Namespaces that there were.
    previews: Vec<String>,
    /// What was left otherwise than it must be, and where.
    found: Vec<String>,
}

impl<'a> Rounds<'a> {
    fn beside(stage: &'a Stage) -> Self {
        Self {
            stage,
            began: Instant::now(),
            begun: Cell::new(0),
            previews: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Plays one for each place where its run can be stopped; these came to the gate of one that was not.
    async fn walk(&mut self, whole: &[String], of: impl Fn(Stop) -> Disturbance) {
        let (mut taken, mut next) = (0, stops(whole, 0));
        while !next.is_empty() {
            taken += next.len();
            let played = self.play(next.into_iter().map(&of).collect()).await;
            // One that was disturbed may write more often than one that was not.
            let longest = played.iter().max_by_key(|came| stops(came, 0).len());
            next = longest.map_or_else(Vec::new, |came| stops(came, taken));
        }
    }

    /// Plays these, and keeps what is found. Gives what came to the gate of the first program of each.
    async fn play(&mut self, disturbances: Vec<Disturbance>) -> Vec<Vec<String>> {
        let this = &*self;
        let rounds = disturbances.into_iter().map(async |disturbance| {
            this.begun.set(this.begun.get() + 1);
            let began = Instant::now();
            let round = match this.stage.beside(this.begun.get()).await {
                Ok(stage) => disturbance.on(stage).await,
                Err(error) => Err(error),
            };
            this.tell(disturbance, &round, began);
            (disturbance, round)
        });
        let rounds: Vec<_> = stream::iter(rounds).buffered(WORLDS).collect().await;
        let kept = rounds.into_iter();
        kept.map(|(disturbance, round)| self.keep(disturbance, round))
            .collect()
    }

    /// Keeps what is found in a round; gives what came to the gate of its first program.
    fn keep(&mut self, disturbance: Disturbance, round: anyhow::Result<Round>) -> Vec<String> {
        match round {
            Ok(round) => {
                if round.left != disturbance.undisturbed() {
                    let (places, left) = (round.places(), &round.left);
                    let found = format!("{disturbance}, {places}:\n{left}");
                    self.found.push(found);
                }
                self.previews.push(round.preview);
                round.gates.first().map(Gate::came).unwrap_or_default()
            }
            Err(error) => {
                self.found.push(format!("{disturbance}: {error:#}"));
                Vec::new()
            }
        }
    }

    fn tell(&self, disturbance: Disturbance, round: &anyhow::Result<Round>, began: Instant) {
        let came = match round {
            Ok(round) if round.left == disturbance.undisturbed() => {
                format!("{}: as undisturbed", round.places())
            }
            Ok(round) => format!("{}: left is\n{}", round.places(), round.left),
            Err(error) => format!("{error:#}"),
        };
        let took = began.elapsed().as_secs();
        self.stage
            .progress
            .say(&format!("{disturbance}, {came}, after {took} s"));
    }

    /// Tells what was found, if anything was.
    fn none_found(&self) -> anyhow::Result<()> {
        ensure!(
            self.found.is_empty(),
            "{} of {} rounds left something else:\n{}",
            self.found.len(),
            self.begun.get(),
            self.found.join("\n\n")
        );
        Ok(())
    }

    /// Ends the rounds: nothing may have been found, and the node have nothing of them.
    async fn end(self) -> anyhow::Result<()> {
        let (rounds, took) = (self.begun.get(), self.began.elapsed().as_secs());
        self.none_found()?;
        for preview in &self.previews {
            self.stage.the_node_has_no_containers_of(preview).await?;
        }
        self.stage.progress.say(&format!(
            "{rounds} rounds in {took} s left what nothing disturbed leaves"
        ));
        Ok(())
    }
}

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn the_end_is_the_same(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &Stage) -> anyhow::Result<()> {
    let mut rounds = Rounds::beside(stage);
    stage.act("One is closed and three are merged, and nothing is disturbed");
    let frozen = |program| move |stop| Disturbance::Frozen(program, stop, Stop::Nowhere);
    let (cleanup, promotion) = (frozen(Program::Cleanup), frozen(Program::Promote));
    let whole = rounds.play(vec![
        Disturbance::Cleanup(Stop::Nowhere),
        Disturbance::Promotion(Stop::Nowhere),
        cleanup(Stop::Nowhere),
        promotion(Stop::Nowhere),
    ]);
    let whole = whole.await;
    rounds.none_found()?;
    for came in &whole {
        ensure!(writes(came) > 5, "too few writes: {came:#?}");
    }

    stage.act("A pull request is closed, and its cleanup killed before each of its requests");
    rounds.walk(&whole[0], Disturbance::Cleanup).await;

    stage.act("It is merged, and its promotion killed before each of its requests");
    rounds.walk(&whole[1], Disturbance::Promotion).await;

    stage.act("It is merged, and is promoted to the end at each request of its cleanup");
    rounds.walk(&whole[2], cleanup).await;

    stage.act("It is merged, and is cleaned up to the end at each request of its promotion");
    rounds.walk(&whole[3], promotion).await;

    stage.act("One is about to write the comment, and the other to tell something");
    let both = [
        (Program::Cleanup, &whole[2], &whole[3]),
        (Program::Promote, &whole[3], &whole[2]),
    ];
    let mut orders = Vec::new();
    for (program, came, came_to_other) in both {
        for stop in writes_that(came, is_comment) {
            let told = writes_that(came_to_other, is_told).into_iter();
            orders.extend(told.map(|to| Disturbance::Frozen(program, stop, to)));
        }
    }
    rounds.play(orders).await;
    rounds.end().await
}

fn writes(came: &[String]) -> usize {
    came.iter().filter(|request| is_write(request)).count()
}

fn writes_that(came: &[String], are: fn(&str) -> bool) -> Vec<Stop> {
    let written = came.iter().filter(|request| is_write(request)).zip(1..);
    let chosen = written.filter(|(request, _)| are(request));
    chosen.map(|(_, nth)| Stop::Write(nth)).collect()
}

/// Where the comment is written that was read before.
fn is_comment(request: &str) -> bool {
    request.starts_with("PATCH ") && request.contains("/issues/comments/")
}

fn is_told(request: &str) -> bool {
    request.contains(" /repos/")
}
