//! The workflow of `preview-deploy`.
//!
//! observe → decide → act → report: which pull request or commit is meant, and which images are its own ([`observe`]);
//! whether they may be deployed (`preview_core::deploy`); a slot, then everything that a preview is made of, wave by wave
//! ([`slot`], [`waves`]), after a look whether they can go well ([`preflight`]); and what of it people see ([`story`]).
//! Before that somebody has approved it, where that is wanted ([`approval`]), who was asked by [`ask`].
//! [`plan`] says what would come of it, and stops; [`import`] brings images to
//! the registry that were built elsewhere; [`answer`] answers a command in a comment; [`doctor`] looks whether all is there that any deploy needs.

mod answer;
mod approval;
mod arguments;
mod ask;
mod budget;
mod checks;
mod database;
mod doctor;
mod golden;
mod handover;
mod import;
mod imported;
mod observe;
mod plan;
mod preflight;
mod promotable;
mod queue;
mod record;
mod rendering;
mod serving;
mod slot;
mod stop;
mod story;
mod unchanged;
mod wake;
mod waves;
mod world;

pub use arguments::{Arguments, Command};
pub use import::{Builder, ComponentLayout, ToImport};

use std::collections::BTreeMap;

use preview_actions::{Conclusion, Failed, Outside as _, Runner};
use preview_core::comment::Note;
use preview_core::deploy::{Accepted, Instead, Kept, Previewed, Request};
use preview_core::lifecycle::Phase;
use preview_core::manifests::Preview;
use preview_core::names::Subject;
use preview_core::ownership::{Claimant, Owner};

use approval::{Permitted, Start};
use arguments::Requested;
use ask::Asking;
use preflight::Found;
use serving::Before;
use slot::Slot;
use stop::Stop;
use story::Story;
use wake::ToWake;
use world::World;

/// Deploys the preview that is asked for.
///
/// # Errors
/// When a rule says no, or something outside failed; the pull request was told before.
pub async fn run(runner: Runner, arguments: Arguments) -> Result<Conclusion, Failed> {
    if arguments.command == Some(Command::Doctor) {
        return doctor::run(&runner, &arguments).await;
    }
    let config = runner.configuration(&arguments.options)?;
    if arguments.command == Some(Command::Answer) {
        return answer::run(&runner, &arguments, &config).await;
    }
    let asked = arguments::requested(&runner, &arguments)?;
    runner.know(|result| result.commit = asked.what.head().cloned());
    let arguments = Arguments {
        reset_database: asked.reset_database,
        ..arguments
    };
    let world = World::connect(&runner, &config, &arguments).await?;
    world.may_ask(asked.by.as_ref()).await?;
    let start = asked.start();
    let request = match asked.what {
        Requested::Nothing(why) => return Ok(Conclusion::done("nothing", why)),
        Requested::Deploy(request) => request,
        Requested::Wake(subject) => match world.to_wake(&subject).await? {
            ToWake::Deploy(request) => request,
            ToWake::Nothing(why) => return Ok(Conclusion::done("nothing", why)),
        },
    };

    if let Some(Command::Import(what)) = &arguments.command {
        return world.import(what, &request).await;
    }
    let ended = deploy(&world, &arguments, &request, &start).await;
    // Who has it, or found that there is none, has taken its turn.
    let took_turn = |ended: &Conclusion| matches!(ended.verdict, "deployed" | "queued");
    if matches!(arguments.command, None | Some(Command::Wake))
        && !ended.as_ref().is_ok_and(took_turn)
    {
        world.hand_on(&request).await;
    }
    ended
}

async fn deploy(
    world: &World<'_>,
    arguments: &Arguments,
    request: &Request,
    start: &Start,
) -> Result<Conclusion, Failed> {
    let (runner, config) = (world.runner, world.config);
    let previewed = match world.choose(request).await? {
        Ok(previewed) => previewed,
        Err(instead) => return nothing_is_deployed(runner, instead),
    };
    let (repository, owner) = (&previewed.repository, owner_of(&previewed));
    knows(runner, &previewed);
    let mut story = Story::new(world, &previewed);
    let permitted = world.permitted(arguments, &previewed, start).await;
    let (permission, accepted) = match permitted {
        Ok(Permitted::Runs(permission, accepted)) => (permission, accepted),
        Ok(Permitted::Unbuilt) => return unbuilt(&story, arguments, &previewed, start).await,
        Err(failed) => return Err(told(&story, arguments, failed).await),
    };
    permission.told(&mut story);
    let images = accepted.pinned();
    let preview =
        Preview::new(config, &repository.slug, &owner, &previewed.head, &images).misused()?;
    let preview = preview.pulling_with_credential(world.pull.is_some());
    let made = world.made_of(arguments, &previewed, preview).await;
    let (preview, notes) = match made {
        Ok(made) => made,
        Err(failed) => return Err(told(&story, arguments, failed).await),
    };
    notes.into_iter().for_each(|note| story.note(note));
    let claimant = Claimant {
        owner: owner.clone(),
        repository: repository.slug.clone(),
        head: previewed.head.clone(),
        fence: match arguments.command {
            Some(Command::Plan | Command::Ask) => plan::FENCE,
            _ => runner.environment().fence()?,
        },
    };
    let deploy = Deploy {
        runner,
        world,
        previewed: &previewed,
        accepted: &accepted,
        preview: &preview,
        claimant: &claimant,
        approved: permission.kept,
        reset_database: arguments.reset_database,
    };
    match arguments.command {
        Some(Command::Plan) => deploy.planned(&mut story).await,
        Some(Command::Ask) => deploy.asked(story, start).await,
        _ => deploy.carried_out(story).await,
    }
}

/// Says, and asks where it is to ask, that there is no more than the commit to approve yet.
async fn unbuilt(
    story: &Story<'_>,
    arguments: &Arguments,
    previewed: &Previewed,
    start: &Start,
) -> Result<Conclusion, Failed> {
    let (what, origin) = (previewed.at_head(), previewed.origin());
    let why = format!(
        "the runs of {origin} may push no image, so what there is to approve of {what} is the commit: once it is approved, its \
         test merge is built, imported and deployed"
    );
    let unbuilt = Conclusion::done("unbuilt", why);
    if arguments.command != Some(Command::Ask) {
        return Ok(unbuilt);
    }
    let asking = Asking {
        world: story.world,
        runner: story.world.runner,
        previewed,
        images: BTreeMap::new(),
    };
    asking.asked(story, unbuilt, start).await
}

/// Tells the pull request of it, unless nothing is to be written.
async fn told(story: &Story<'_>, arguments: &Arguments, failed: Failed) -> Failed {
    if arguments.command != Some(Command::Plan) {
        story.failed(&failed).await;
    }
    failed
}

fn nothing_is_deployed(runner: &Runner, instead: Instead) -> Result<Conclusion, Failed> {
    runner.know(|result| result.subject = instead.number().map(Subject::Pr));
    match instead {
        Instead::Nothing(nothing) => Ok(Conclusion::done("nothing", nothing)),
        Instead::Superseded { .. } => Ok(Conclusion::done("superseded", instead)),
        Instead::Refused(refusal) => Err(Failed::refused(refusal)),
    }
}

fn knows(runner: &Runner, previewed: &Previewed) {
    runner.know(|result| {
        result.repository = Some(previewed.repository.slug.clone());
        result.subject = Some(previewed.subject());
        result.commit = Some(previewed.head.clone());
    });
}

fn owner_of(previewed: &Previewed) -> Owner {
    Owner {
        repository: previewed.repository.id,
        subject: previewed.subject(),
    }
}

/// What is to be deployed, and for whom.
struct Deploy<'a> {
    runner: &'a Runner,
    world: &'a World<'a>,
    previewed: &'a Previewed,
    accepted: &'a Accepted,
    preview: &'a Preview<'a>,
    claimant: &'a Claimant,
    /// Whose approval lets it run, and as which images; none where nobody has to approve.
    approved: Option<Kept>,
    /// Whether the database is to be made afresh, whatever was done to it.
    reset_database: bool,
}

impl<'a> Deploy<'a> {
    /// Acts, and reports how it went.
    async fn carried_out(&self, mut story: Story<'a>) -> Result<Conclusion, Failed> {
        self.runner.know(|result| {
            result.namespace = Some(self.preview.namespace_name().clone());
            result.images = self.accepted.pinned();
        });
        story.expects(self.preview);
        for (component, tested) in self.accepted.unchanged() {
            story.note(Note::Unchanged {
                component: component.clone(),
                tested: tested.clone(),
            });
        }
        let ended = match self.act(&mut story).await {
            Err(Stop::Queued(waiting)) => self.waits(&story, waiting).await,
            Err(Stop::Failed(failed)) => Err(self.why(&story, failed).await),
            Err(stop) => Err(stop),
            Ok(()) => {
                let url = self.preview.url();
                self.runner.know(|result| result.url = Some(url.clone()));
                let what = self.previewed.at_head();
                Ok(Conclusion::done(
                    "deployed",
                    format!("{what} answers at {url}"),
                ))
            }
        };
        let stop = match ended {
            Ok(conclusion) => return Ok(conclusion),
            Err(Stop::Failed(failed)) => {
                story.failed(&failed).await;
                self.why(&story, failed).await
            }
            Err(stop) => stop,
        };
        match stop {
            Stop::Superseded(why) => {
                self.runner.enters(Phase::Superseded.as_str());
                self.gives_way(&story, &why).await;
                Ok(Conclusion::done("superseded", why))
            }
            Stop::NotWanted => self.destroy(&story).await,
            Stop::Failed(failed) => Err(failed),
            // It was told above.
            Stop::Queued(_) => Ok(Conclusion::done("queued", stop)),
        }
    }

    /// Looks whether all can go well, takes the Namespace and a slot, and fills it, wave by wave.
    async fn act(&self, story: &mut Story<'_>) -> Result<(), Stop> {
        let Found { certificate, files } = self.preflight(story).await?;
        let mut slot = self.take_namespace().await?;
        // Only the owner tells: a run that wakes up late must not overwrite what a newer one said.
        story.begins(self.preview, self.claimant).await?;
        slot.claim().await?;
        self.still_wanted().await?;
        slot.wake().await?;
        story.comes_to("furnishing the namespace");
        self.furnish(&mut slot, certificate).await?;
        story.comes_to("bringing up the database");
        let database = self.bring_up_database(story, &files).await?;
        let database = database.as_ref();
        self.migrate(&mut slot, story, database, &files).await?;
        let before = Before {
            commit: slot.serves(),
            images: slot.ready_images(),
        };
        let rolled_out = self.roll_out(&mut slot, story).await;
        if let Err(Stop::Failed(Failed::Broken(..))) = &rolled_out
            && slot.is_update
        {
            self.tell_what_answers(before, story).await;
        }
        rolled_out?;
        self.prune(database).await?;
        self.check_pages(story).await?;
        self.still_wanted().await?;
        self.record(story).await?;
        self.announce(&mut slot, story).await?;
        let read = self.tell_whether_promotable(story).await;
        self.last_look(read.as_ref()).await
    }

    async fn announce(&self, slot: &mut Slot<'_>, story: &mut Story<'_>) -> Result<(), Stop> {
        slot.is_ready(&self.accepted.pinned()).await?;
        for (component, url) in self.preview.urls_of_own_hosts() {
            story.note(Note::AnswersAt { component, url });
        }
        Ok(story.ready(&self.accepted.pinned()).await?)
    }
}
