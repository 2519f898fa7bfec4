//! A command in a pull request's comment: whether it is one, and of somebody who may give it (`preview_core::commands`);
//! what is done about it; and what is said of that, at once by a reaction and then in the one comment.
//!
//! Nothing is deployed or taken down here: that is the matter of workflows that have secrets and gates of their own, and are
//! started.

use jiff::{SignedDuration, Timestamp};
use preview_actions::{Conclusion, Failed, Outside as _, Runner, UsageError};
use preview_core::commands::{self, Answer, Command, Effect, Heard, Word, Written};
use preview_core::comment::{MARKER, with_answer};
use preview_core::config::Config;
use preview_core::lifetime::{WARNING_MARKER, Warning};
use preview_core::markdown::{code, inline};
use preview_core::names::{PrNumber, Subject};
use preview_core::ownership::{Owner, keys};
use preview_core::pulls::{PullRequest, Repository};
use preview_github::Reaction;
use preview_github::event::{Account, Event, IssueComment};
use preview_k8s::NamespaceChange;

use crate::Arguments;
use crate::world::World;

/// How often a Namespace is read again that was changed between read and write.
const ROUNDS: usize = 10;

/// Answers the comment that the event tells of.
///
/// # Errors
/// When a rule says no to the command, or something outside failed; the pull request was told before.
pub(crate) async fn run(
    runner: &Runner,
    arguments: &Arguments,
    config: &Config,
) -> Result<Conclusion, Failed> {
    let comment = comment(runner)?;
    let heard = {
        let IssueComment { author, .. } = &comment;
        let written = Written {
            action: &comment.action,
            is_by_bot: author.as_ref().is_some_and(|author| author.is_bot),
            is_on_pull: comment.is_on_pull,
            body: &comment.body,
        };
        match written.heard(&config.commands.allowed) {
            Ok(heard) => heard,
            Err(silence) => return Ok(Conclusion::done("nothing", silence)),
        }
    };
    let Some(Account { login, .. }) = comment.author.clone() else {
        let why = "whoever wrote the comment has no account any more";
        return Ok(Conclusion::done("nothing", why));
    };
    runner.know(|result| result.subject = Some(Subject::Pr(comment.number)));
    let world = World::connect(runner, config, arguments).await?;
    let conversation = Conversation {
        world: &world,
        number: comment.number,
        comment: comment.id,
        login,
    };
    conversation.hold(heard).await
}

fn comment(runner: &Runner) -> Result<IssueComment, Failed> {
    let event = runner
        .environment()
        .event("give what is asked for on the command line of preview-deploy")?;
    let path = event.path.display().to_string();
    match Event::parse(&event.name, &path, &event.payload).misused()? {
        Event::IssueComment(comment) => Ok(comment),
        _ => Err(UsageError(format!(
            "the event {:?} tells of no comment; start `preview-deploy answer` on issue_comment",
            event.name
        ))
        .into()),
    }
}

/// Somebody's comment, and who answers it.
struct Conversation<'a> {
    world: &'a World<'a>,
    number: PrNumber,
    comment: u64,
    login: String,
}

impl Conversation<'_> {
    async fn hold(&self, heard: Heard) -> Result<Conclusion, Failed> {
        let login = &self.login;
        if !self.world.github.may_write(login).await.outside()? {
            self.react(Reaction::No).await;
            let why = format!("{login} may not write to {}", self.world.slug);
            return Ok(Conclusion::done("ignored", why));
        }
        self.react(Reaction::Eyes).await;
        let command = match heard {
            Heard::Command(command) => command,
            Heard::Unclear(unclear) => {
                let there_are = commands::list(&self.world.config.commands.allowed);
                self.tell(None, format!("{unclear}. There are: {there_are}."))
                    .await?;
                self.react(Reaction::Confused).await;
                return Ok(Conclusion::done("unclear", unclear));
            }
        };
        let word = command.word();
        match self.carried_out(&command).await {
            Ok(told) => {
                self.tell(Some(word), told).await?;
                self.react(Reaction::Yes).await;
                let what = format!("{} by {login}, on #{}", word.usage(), self.number);
                Ok(Conclusion::done("answered", what))
            }
            Err(failed) => {
                let reaction = match &failed {
                    Failed::Refused(_) => Reaction::No,
                    _ => Reaction::Confused,
                };
                let why = self.world.runner.environment().redaction();
                let why = inline(&why.clean(&failed.to_string()));
                // Why it failed matters more than that nobody could be told.
                if let Err(error) = self.tell(Some(word), format!("{why}.")).await {
                    let warning = format!("the pull request was not told: {error}");
                    self.world.runner.console().warning(&warning);
                }
                self.react(reaction).await;
                Err(failed)
            }
        }
    }

    /// Does what is asked for; gives what to tell of it.
    async fn carried_out(&self, command: &Command) -> Result<String, Failed> {
        let world = self.world;
        let pull = world.github.pull(self.number).await.outside()?;
        let effect = command
            .decide(self.number, pull.as_ref(), &world.slug, world.config)
            .map_err(Failed::refused)?;
        // What is decided on is there.
        let pull = pull.ok_or_else(|| Failed::refused("there is no such pull request"))?;
        match effect {
            Effect::Start {
                workflow,
                mut inputs,
                head,
            } => {
                if head.is_some() {
                    inputs.insert("comment".to_owned(), self.comment.to_string());
                }
                let branch = &pull.base_repository.default_branch;
                let start = world.github.dispatch_workflow(&workflow, branch, &inputs);
                let object = format!("{workflow} for #{}", self.number);
                world.runner.step("start", object, start).await.outside()?;
                let workflow = code(&workflow);
                Ok(match head {
                    Some(head) => format!(
                        "{workflow} was started for {}; what comes of it is told here.",
                        head.short()
                    ),
                    None => format!("{workflow} was started; what comes of it is told here."),
                })
            }
            Effect::Keep(long) => {
                let long = SignedDuration::try_from(long).unwrap_or(SignedDuration::MAX);
                let until = Timestamp::now().checked_add(long).unwrap_or(Timestamp::MAX);
                self.keep(&pull, until).await
            }
            Effect::Show { head } => Ok(format!(
                "the head is {}; the rest stands here as the last run has told it.",
                head.short()
            )),
        }
    }

    /// Writes on the Namespace until when the preview is kept.
    async fn keep(&self, pull: &PullRequest, until: Timestamp) -> Result<String, Failed> {
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        let (cluster, Repository { id, .. }) = (&self.world.cluster, &pull.base_repository);
        let owner = Owner {
            repository: *id,
            subject: Subject::Pr(self.number),
        };
        let template = &self.world.config.namespace;
        let name = template
            .render(&self.world.slug, &owner.subject)
            .misused()?;
        for _ in 0..ROUNDS {
            let read = cluster.namespace(&name).await.outside()?;
            let Some(read) = read.filter(|read| !read.terminating) else {
                return Err(Failed::refused(format!(
                    "pull request #{} has no preview that could be kept",
                    self.number
                )));
            };
            owner.check(&read).map_err(Failed::refused)?;
            let mut change =
                NamespaceChange::annotate([(keys::KEPT.to_owned(), until.to_string())]);
            change.annotations.insert(keys::EXPIRES.to_owned(), None);
            let change = cluster.change_namespace(&read, &change);
            let keep = self.world.runner.step("keep", name.to_string(), change);
            if keep.await.outside()?.is_none() {
                continue;
            }
            if read.expires().is_some() {
                let body = Warning::KeptUntil(until).to_string();
                let github = &self.world.github;
                let write = github.upsert_comment(self.number, WARNING_MARKER, &body);
                write.await.outside()?;
            }
            let until = until.strftime("%Y-%m-%d %H:%M UTC");
            return Ok(format!("it neither sleeps nor ends before {until}."));
        }
        Err(Failed::cluster(format!(
            "change Namespace/{name}: it changed each of {ROUNDS} times between read and write; ask again"
        )))
    }

    /// Says what came of it in the one comment, beside what that tells.
    async fn tell(&self, word: Option<Word>, told: String) -> Result<(), Failed> {
        let answer = Answer {
            word,
            login: self.login.clone(),
            told,
        };
        let body = |said: Option<&str>| with_answer(said, &answer);
        let write = self
            .world
            .github
            .upsert_comment_with(self.number, MARKER, body);
        let object = format!("on #{}: an answer", self.number);
        let step = self.world.runner.step("comment", object, write);
        step.await.outside().map(drop)
    }

    /// A command without its reaction is carried out all the same.
    async fn react(&self, reaction: Reaction) {
        if let Err(error) = self.world.github.react(self.comment, reaction).await {
            let warning = format!("the comment has no reaction: {error}");
            self.world.runner.console().warning(&warning);
        }
    }
}
