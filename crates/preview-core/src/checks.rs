//! Whether a preview answers: what is asked for, what came of it, and what that means.

use std::fmt;
use std::time::Duration;

use crate::health::{Failure, FailureClass};
use crate::names::{ComponentName, Host};
use crate::objects::ObjectName;

/// Lines of an answer that tell what it was.
const BODY_LINES: usize = 10;

/// A page that must answer before a preview is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCheck {
    /// The component, and the Service of that name.
    pub component: ComponentName,
    /// What runs it.
    pub workload: ObjectName,
    /// The way by which a visitor would ask; none where it is asked within the cluster.
    pub route: Option<Way>,
    /// The Service's port.
    pub port: u16,
    /// The path that is asked for.
    pub path: String,
    /// The HTTP status that it must answer with.
    pub status: u16,
    /// How long it may take until it does.
    pub deadline: Duration,
}

/// A way by which a visitor comes to a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The host.
    pub host: Host,
    /// The Ingress or HTTPRoute that leads from it to the component.
    pub object: ObjectName,
}

/// What came of asking once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A page, whatever it says.
    Page {
        /// The HTTP status.
        status: u16,
        /// The body as text, or its beginning.
        body: String,
    },
    /// None, for this reason.
    None(String),
}

impl PageCheck {
    /// What is asked, as people write it: `https://7.pr.example.com/ready`, or `Service/web:8080/ready` within the
    /// cluster.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.route {
            Some(way) => format!("https://{}{}", way.host, self.path),
            None => format!("Service/{}:{}{}", self.component, self.port, self.path),
        }
    }

    /// Whether that is the answer that was wanted.
    #[must_use]
    pub fn is_met_by(&self, answer: &Answer) -> bool {
        matches!(answer, Answer::Page { status, .. } if *status == self.status)
    }

    /// What it means that `last` was the last answer within the deadline; `inside` is what the component answers within
    /// the cluster, where it was asked there, too: whoever sees it answer there need not look at the component.
    #[must_use]
    pub fn failure(&self, last: &Answer, inside: Option<&Answer>) -> Failure {
        let answers_inside = inside.is_some_and(|inside| self.is_met_by(inside));
        let lost = inside.is_none() && matches!(last, Answer::None(_));
        let (class, workload) = match &self.route {
            Some(way) if answers_inside || lost => (FailureClass::Route, &way.object),
            _ => (FailureClass::Check, &self.workload),
        };
        let within = inside.map_or_else(String::new, |inside| {
            format!("; within the cluster it {inside}")
        });
        let message = format!(
            "after {}s {} should answer {} and {last}{within}",
            self.deadline.as_secs(),
            self.address(),
            self.status,
        );
        Failure {
            log: beginning(last),
            ..Failure::new(class, workload, message)
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { status, .. } => write!(f, "answers {status}"),
            Self::None(why) => write!(f, "does not answer: {why}"),
        }
    }
}

fn beginning(answer: &Answer) -> Vec<String> {
    let Answer::Page { body, .. } = answer else {
        return Vec::new();
    };
    let lines = body.lines().map(str::trim_end);
    lines
        .filter(|line| !line.is_empty())
        .take(BODY_LINES)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;

    fn check(through_a_route: bool) -> PageCheck {
        let way = Way {
            host: "7.pr.example.com".parse().unwrap(),
            object: ObjectName::new(Kind::Ingress, "web"),
        };
        PageCheck {
            component: "web".parse().unwrap(),
            workload: ObjectName::new(Kind::Deployment, "web"),
            route: through_a_route.then_some(way),
            port: 8080,
            path: "/ready".to_owned(),
            status: 200,
            deadline: Duration::from_secs(60),
        }
    }

    fn page(status: u16, body: &str) -> Answer {
        Answer::Page {
            status,
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_page_is_the_one_that_was_wanted_by_its_status() {
        assert!(check(true).is_met_by(&page(200, "")));
        assert!(!check(true).is_met_by(&page(302, "")));
        assert!(!check(true).is_met_by(&Answer::None("refused".to_owned())));
    }

    #[test]
    fn who_acts_follows_from_where_it_answers() {
        let none = || Answer::None("connection refused".to_owned());
        let told: Vec<String> = [
            check(false).failure(&page(500, ""), None),
            check(false).failure(&none(), None),
            check(true).failure(&page(502, ""), Some(&page(200, ""))),
            check(true).failure(&page(500, ""), Some(&page(500, ""))),
            check(true).failure(&none(), Some(&page(200, ""))),
            check(true).failure(&none(), Some(&none())),
            check(true).failure(&none(), None),
            check(true).failure(&page(404, ""), None),
        ]
        .iter()
        .map(|failure| format!("{failure} → {}", failure.class.actor()))
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        Deployment/web: page does not answer: after 60s Service/web:8080/ready should answer 200 and answers 500 → author
        Deployment/web: page does not answer: after 60s Service/web:8080/ready should answer 200 and does not answer: connection refused → author
        Ingress/web: route does not lead to the page: after 60s https://7.pr.example.com/ready should answer 200 and answers 502; within the cluster it answers 200 → operator
        Deployment/web: page does not answer: after 60s https://7.pr.example.com/ready should answer 200 and answers 500; within the cluster it answers 500 → author
        Ingress/web: route does not lead to the page: after 60s https://7.pr.example.com/ready should answer 200 and does not answer: connection refused; within the cluster it answers 200 → operator
        Deployment/web: page does not answer: after 60s https://7.pr.example.com/ready should answer 200 and does not answer: connection refused; within the cluster it does not answer: connection refused → author
        Ingress/web: route does not lead to the page: after 60s https://7.pr.example.com/ready should answer 200 and does not answer: connection refused → operator
        Deployment/web: page does not answer: after 60s https://7.pr.example.com/ready should answer 200 and answers 404 → author
        ");
    }

    #[test]
    fn an_answer_is_shown_by_its_first_lines() {
        let body: String = (0..20).map(|n| format!("line {n}  \n\n")).collect();
        let failure = check(true).failure(&page(500, &body), None);
        assert_eq!(failure.log.len(), BODY_LINES);
        assert_eq!(failure.log[1], "line 1");
    }
}
