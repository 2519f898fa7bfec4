//! The end of a pull request, in a world of its own: it is closed or merged, and what that starts is killed or frozen at one of
//! its requests. All requests of a run stand in one order: to GitHub, to the cluster and to the registry.

use std::{env, fmt, pin::pin, time::Instant};

use anyhow::{Context as _, bail};
use preview_core::outcome::{Program, ResultFile};
use sandbox::{Gate, is_write};

use super::{
    killed::{killed, until_held},
    kube::until,
    production::TARGET,
    programs::Ended,
    stage::{Event, PATIENCE, Prepared, Stage},
};

/// Where a run is stopped, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// It runs to its end.
    Nowhere,
    /// Before it writes so often.
    Write(usize),
    /// Before this one of all its requests.
    Request(usize),
}

impl Stop {
    pub(super) fn gate(self) -> Gate {
        match self {
            Self::Nowhere => Gate::closed_from(usize::MAX),
            Self::Write(nth) => Gate::closed_from_write(nth),
            Self::Request(nth) => Gate::closed_from(nth),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("nowhere"),
            Self::Write(nth) => write!(f, "at its write {nth}"),
            Self::Request(nth) => write!(f, "at its request {nth}"),
        }
    }
}

/// The places where to stop a run to whose gate these came, but for so many that were taken: each write, and where everything
/// is taken each request. How often a run looks is never the same, so that more of these are not taken.
pub(super) fn stops(came: &[String], taken: usize) -> Vec<Stop> {
    match env::var_os("PREVIEW_TEST_EVERY_READ") {
        Some(_) if taken > 0 => Vec::new(),
        Some(_) => (1..=came.len()).map(Stop::Request).collect(),
        None => {
            let writes = came.iter().filter(|request| is_write(request)).count();
            (taken + 1..=writes).map(Stop::Write).collect()
        }
    }
}

/// The page alone, in production and as a preview that keeps a file in a volume. Gives the pull request's number, and what
/// was tested.
///
/// # Errors
/// When it does not come up.
pub(super) async fn previewed(stage: &mut Stage) -> anyhow::Result<(u64, ResultFile)> {
    stage.furnish_a_page().await?;
    let number = stage.open_pull_requests(1).await?[0];
    let deployed = stage.deploy_at_once(&[number]).await?;
    let (_, ended) = deployed.into_iter().next().context("nothing is deployed")?;
    let tested = ended.with(0, "deployed")?.result;
    stage.add_a_volume().await?;
    Ok((number, tested))
}

/// A pull request that is previewed and has ended, and what is left to run.
pub(super) struct Ending {
    pub(super) stage: Stage,
    number: u64,
    /// What was looked at.
    tested: ResultFile,
    /// What it was merged as.
    merged: Option<String>,
    /// The page's image.
    digest: String,
}

impl Ending {
    /// It was closed and not merged.
    ///
    /// # Errors
    /// When it was not previewed.
    pub(super) async fn closed(stage: Stage) -> anyhow::Result<Self> {
        let ending = Self::open(stage).await?;
        ending.stage.close()?;
        Ok(ending)
    }

    /// It was merged.
    ///
    /// # Errors
    /// When it was not previewed.
    pub(super) async fn merged(stage: Stage) -> anyhow::Result<Self> {
        let mut ending = Self::open(stage).await?;
        ending.merged = Some(ending.stage.merge()?);
        Ok(ending)
    }

    async fn open(mut stage: Stage) -> anyhow::Result<Self> {
        let (number, tested) = previewed(&mut stage).await?;
        Ok(Self {
            digest: stage.page_of(number)?,
            stage,
            number,
            tested,
            merged: None,
        })
    }

    fn prepared(&mut self, program: Program) -> anyhow::Result<Prepared> {
        match (program, &self.merged) {
            (Program::Promote, Some(commit)) => self.stage.prepared_promotion(commit),
            (Program::Promote, None) => bail!("it was not merged"),
            _ => self.stage.prepared(program, Event::PullRequest, &[]),
        }
    }

    /// Kills `program` where it stops, and runs it again; whatever else the end of the pull request starts runs afterwards.
    /// Gives the gate that it stopped at.
    ///
    /// # Errors
    /// When a run ends differently than it should.
    pub(super) async fn killed(&mut self, program: Program, stop: Stop) -> anyhow::Result<Gate> {
        let gate = stop.gate();
        let run = self.prepared(program)?;
        let run = self.stage.behind(run, &gate).await?;
        if killed(&self.stage, run, &gate, verdict(program)).await? {
            let again = self.prepared(program)?;
            let again = self.stage.started(again).await?;
            again.with_or_nothing(verdict(program))?;
        }
        if self.merged.is_some() {
            let other = self.prepared(other(program))?;
            well(self.stage.started(other).await?)?;
        }
        Ok(gate)
    }

    /// Runs `program`, frozen where it stops until the other one has come to where that stops, and then whole before the other
    /// one goes on. Gives the gates that they stopped at.
    ///
    /// # Errors
    /// When a run ends differently than it should.
    pub(super) async fn side_by_side(
        &mut self,
        program: Program,
        stop: Stop,
        stop_of_other: Stop,
    ) -> anyhow::Result<[Gate; 2]> {
        let (gate, gate_of_other) = (stop.gate(), stop_of_other.gate());
        let (run, other) = (self.prepared(program)?, self.prepared(other(program))?);
        let run = self.stage.behind(run, &gate).await?;
        let other = self.stage.behind(other, &gate_of_other).await?;
        side_by_side(&self.stage, (run, &gate), (other, &gate_of_other)).await?;
        Ok([gate, gate_of_other])
    }

    /// What is left of it, and what is told of it, once all have run and one more cleanup has found nothing to do.
    ///
    /// # Errors
    /// When that does not end so, or nobody answers.
    pub(super) async fn left(&mut self) -> anyhow::Result<String> {
        let mut lines = self.told();
        let stage = &mut self.stage;
        let gone = stage.the_cluster_has_nothing_of_the_preview().await;
        lines.push(seen("of the preview, the cluster has nothing", gone));
        if let Some(commit) = &self.merged {
            let runs = stage.production_runs(&self.tested).await;
            lines.push(seen("production runs what was tested", runs));
            let (image, of) = stage.page_of_production().await?;
            let is_it = image.ends_with(&format!("@{}", self.digest));
            let is_of_it = of.as_ref() == Some(commit);
            lines.push(format!(
                "it is set to its digest: {is_it}, as of M: {is_of_it}"
            ));
        }
        let next = stage.run(Program::Cleanup, Event::PullRequest).await?;
        next.with(0, "nothing")?;
        lines.push(self.image_is_kept().await?);
        lines.extend(self.on_github());
        Ok(lines.join("\n"))
    }

    /// Of the comment, what the two programs write.
    fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (_, body) in self.stage.repository.comments(self.number) {
            let begins =
                |line: &&str| line.starts_with("**Status**: ") || line.starts_with("**Preview**: ");
            lines.extend(body.lines().filter(begins).map(str::to_owned));
            let merged = body.lines();
            let merged = merged.filter(|line| line.starts_with("**Merged as**: "));
            lines.push(format!("it tells the commit: {}", merged.count() == 1));
        }
        lines
    }

    /// Whether GitHub and the registry have the image, which hear of each other after a while.
    async fn image_is_kept(&self) -> anyhow::Result<String> {
        let is_kept = self.stage.page_of(self.number).is_ok();
        until(Instant::now() + PATIENCE, async || {
            let is_held = self.stage.ground.holds("web", &self.digest).await?;
            Ok(match is_held == is_kept {
                true => Ok(()),
                false => Err(format!(
                    "kept by GitHub: {is_kept}, by the registry: {is_held}"
                )),
            })
        })
        .await?;
        Ok(format!("its image is kept: {is_kept}"))
    }

    fn on_github(&self) -> Vec<String> {
        let (github, repository) = (&self.stage.github, &self.stage.repository);
        let mut lines = vec![
            format!("labels: {:?}", repository.labels(self.number)),
            format!("defined: {:?}", repository.label_definitions()),
        ];
        let deployments = repository.deployments().into_iter();
        // A promotion that was begun and not told of is put away by the next one.
        let deployments =
            deployments.filter(|one| one.environment != TARGET || one.state != "inactive");
        lines.extend(deployments.map(|one| format!("{}: {}", one.payload["kind"], one.state)));
        lines.extend(github.violations());
        lines
    }
}

/// Runs two programs at the same time: the first is frozen at its gate until the second has come to its own or ended, and then
/// runs to its end before the second goes on.
///
/// # Errors
/// When one ends differently than it should.
pub(super) async fn side_by_side(
    stage: &Stage,
    (first, gate): (Prepared, &Gate),
    (second, gate_of_second): (Prepared, &Gate),
) -> anyhow::Result<()> {
    let mut first = pin!(stage.started(first));
    let mut second = pin!(stage.started(second));
    let early = until_held(first.as_mut(), gate).await;
    let early_of_second = until_held(second.as_mut(), gate_of_second).await;
    gate.open();
    let ended = match early {
        Some(ended) => ended,
        None => first.await,
    };
    gate_of_second.open();
    let ended_of_second = match early_of_second {
        Some(ended) => ended,
        None => second.await,
    };
    well(ended?)?;
    well(ended_of_second?)
}

/// Whether a run did what the end of a pull request starts it for.
fn well(ended: Ended) -> anyhow::Result<()> {
    let verdict = verdict(ended.program);
    ended.with(0, verdict).map(drop)
}

const fn verdict(program: Program) -> &'static str {
    match program {
        Program::Cleanup => "destroyed",
        _ => "promoted",
    }
}

fn other(program: Program) -> Program {
    match program {
        Program::Cleanup => Program::Promote,
        _ => Program::Cleanup,
    }
}

/// Whether it is so, and why not.
fn seen(what: &str, looked: anyhow::Result<()>) -> String {
    match looked {
        Ok(()) => format!("{what}: true"),
        Err(error) => format!("{what}: {error:#}"),
    }
}
