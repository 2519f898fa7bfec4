//! The workflow of `preview-promote`.
//!
//! observe → decide → act → report, for each target in its order: all evidence of what was merged and tested
//! ([`evidence`]); the verdict (`preview_core::promote`) on the newest commit that may go there ([`mod@line`]), once before and
//! once under the target's Lease ([`promotion`]); a migration, the images set, awaited, compared with what runs, looked at,
//! and set back where that fails ([`rollout`], [`errands`]); and what of it people see ([`story`], [`alerts`]). The way back
//! by hand is the same promotion of an older commit ([`back`]).

mod alerts;
mod arguments;
mod attestation;
mod back;
mod errands;
mod evidence;
mod history;
mod line;
mod promotable;
mod promotion;
mod rollout;
mod story;
mod world;

pub use arguments::{Arguments, Command};

use preview_actions::{Conclusion, Failed, Runner, UsageError};
use preview_core::config::{Config, Target};
use preview_core::promote::{Intent, Refusal};

use line::Line;
use promotion::{Ended, Promotion};
use world::World;

/// Does what is asked for.
///
/// # Errors
/// When a rule says no, or something outside failed.
pub async fn run(runner: Runner, arguments: Arguments) -> Result<Conclusion, Failed> {
    arguments.check()?;
    let config = runner.configuration(&arguments.options)?;
    let targets = targets(&config, &arguments)?;
    match &arguments.command {
        None | Some(Command::Plan) => promote(&runner, &config, &arguments, &targets).await,
        Some(Command::Rollback { to, reason }) => {
            let target = the_one(&targets)?;
            let world = World::connect(&runner, &config, &arguments.options).await?;
            world.roll_back(target, to.as_ref(), reason).await
        }
        Some(Command::Resume) => {
            let target = the_one(&targets)?;
            let world = World::connect(&runner, &config, &arguments.options).await?;
            world.resume(target).await
        }
        Some(Command::History { limit }) => {
            let world = World::connect(&runner, &config, &arguments.options).await?;
            world.history(&targets, *limit).await
        }
    }
}

async fn promote(
    runner: &Runner,
    config: &Config,
    arguments: &Arguments,
    targets: &[&Target],
) -> Result<Conclusion, Failed> {
    let asked = match arguments::asked(runner, arguments)? {
        Ok(asked) => asked,
        Err(why) => return Ok(Conclusion::done("nothing", why)),
    };
    let world = World::connect(runner, config, &arguments.options).await?;
    let mut line = world.line(&asked).await?;
    runner.know(|result| result.commit = Some(line.newest().clone()));
    let order = Order {
        intent: match arguments.adopt {
            true => Intent::Adopt,
            false => Intent::Promote,
        },
        only_plans: arguments.only_plans(),
        all_targets: arguments.target.is_none(),
    };
    let ended = promoted(&world, &mut line, targets, order).await;
    if !asked.is_by_hand() && !order.only_plans {
        // Whatever came of it: the default branch has moved on.
        world.reassess_open_pulls().await;
    }
    ended
}

/// How it is to be promoted.
#[derive(Clone, Copy)]
struct Order {
    intent: Intent,
    only_plans: bool,
    all_targets: bool,
}

/// Brings the newest commit that may go there to one target after the other.
async fn promoted(
    world: &World<'_>,
    line: &mut Line,
    targets: &[&Target],
    order: Order,
) -> Result<Conclusion, Failed> {
    let mut told = Vec::new();
    let mut refused: Vec<Refusal> = Vec::new();
    for target in targets {
        let ended = world.newest_to(target, line, order).await?;
        refused.extend(ended.refused);
        match ended.promoted {
            Some((_, Ended::GaveWay(why))) => return Ok(Conclusion::done("superseded", why)),
            Some(ended) => told.push(ended),
            // The next target would get what this one did not.
            None => break,
        }
    }
    if let Some((place, _)) = told.first()
        && order.all_targets
        && !order.only_plans
        && told.len() == targets.len()
        && told.iter().all(|(other, _)| other == place)
    {
        world.put_away(line.known(*place)).await?;
    }
    if refused.is_empty() {
        return Ok(conclusion(told.iter().map(|(_, ended)| ended)));
    }
    Err(Failed::Refused(promotion::reasons(&refused)))
}

/// What came of one target.
struct Came {
    /// The place in the line of the commit that was promoted, or need not be; none where no commit may be.
    promoted: Option<(usize, Ended)>,
    /// Why the newest commit was not, where it was another.
    refused: Vec<Refusal>,
}

impl World<'_> {
    /// Brings the newest commit that may go there to the target. Where one is refused for what was tested of it, the one
    /// before it may still be new there.
    async fn newest_to(
        &self,
        target: &Target,
        line: &mut Line,
        order: Order,
    ) -> Result<Came, Failed> {
        let mut refused: Option<Vec<Refusal>> = None;
        for place in 0.. {
            let Some(merged) = line.at(self, place).await? else {
                break;
            };
            let promotion = Promotion {
                runner: self.runner,
                world: self,
                merged,
                target,
                intent: order.intent,
                only_plans: order.only_plans,
                is_newest: refused.is_none(),
            };
            match promotion.carried_out().await {
                Ok(Ended::Refused(refusals)) => {
                    if !order.only_plans {
                        promotion.tell_refused(&refusals).await;
                    }
                    let goes_on = refusals.iter().all(Refusal::is_of_the_commit);
                    refused.get_or_insert(refusals);
                    if !goes_on {
                        break;
                    }
                }
                Ok(ended) => {
                    let promoted = Some((place, ended));
                    let refused = refused.unwrap_or_default();
                    return Ok(Came { promoted, refused });
                }
                Err(failed) => {
                    if !order.only_plans {
                        promotion.tell_failed(&failed).await;
                    }
                    return Err(failed);
                }
            }
        }
        let refused = refused.unwrap_or_default();
        Ok(Came {
            promoted: None,
            refused,
        })
    }
}

/// The targets that are asked for, in the order of the configuration.
fn targets<'a>(config: &'a Config, arguments: &Arguments) -> Result<Vec<&'a Target>, UsageError> {
    let known = &config.promote.targets;
    let names: Vec<String> = known.iter().map(|target| target.name.to_string()).collect();
    let wanted = |target: &&Target| arguments.target.as_ref().is_none_or(|t| *t == target.name);
    let targets: Vec<&Target> = known.iter().filter(wanted).collect();
    match (&arguments.target, targets.is_empty()) {
        (_, false) => Ok(targets),
        (Some(target), true) => Err(UsageError(format!(
            "there is no target {target}; preview.toml names {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))),
        (None, true) => Err(UsageError(
            "preview.toml names no target; add one as [[promote.targets]]".to_owned(),
        )),
    }
}

/// The one target that a command is about.
fn the_one<'a>(targets: &[&'a Target]) -> Result<&'a Target, UsageError> {
    match targets {
        [target] => Ok(target),
        several => {
            let names: Vec<&str> = several.iter().map(|target| target.name.as_str()).collect();
            Err(UsageError(format!(
                "there are several targets; give --target with one of: {}",
                names.join(", ")
            )))
        }
    }
}

fn conclusion<'a>(told: impl Iterator<Item = &'a Ended> + Clone) -> Conclusion {
    let words = told.clone().map(Ended::verdict);
    let verdict = words
        .min_by_key(|word| *word == "nothing")
        .unwrap_or("nothing");
    let reasons: Vec<String> = told.map(ToString::to_string).collect();
    Conclusion::done(verdict, reasons.join("; "))
}
