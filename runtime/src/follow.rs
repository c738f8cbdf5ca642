//! `--follow`: programs for places that appear while a session runs. Each time they are loaded beside those that run, on the same
//! maps.

use crate::attach::{self, Context, Link};
use crate::events::Events;
use crate::load::Loaded;
use crate::maps::View;
use crate::session::failed;
use awl_compiler::artifact::Artifact;
use awl_compiler::config::Missing;
use awl_compiler::diagnostic::Diagnostic;
use std::time::{Duration, Instant};

/// Who looks around.
pub trait Follow {
    /// What has appeared since the last time. The program that it comes beside is the last one that was loaded.
    fn look(&mut self, artifact: &Artifact, loaded: &Loaded) -> Found;
    /// The places of this addition are attached.
    fn attached(&mut self, artifact: &Artifact);
}

/// What a look found.
#[derive(Default)]
pub struct Found {
    /// something has changed, whatever came of it
    pub changed: bool,
    /// programs for what is new alone, on the maps of those before
    pub added: Option<(Artifact, Loaded)>,
    /// what is wrong with what appeared
    pub said: Vec<Diagnostic>,
}

/// Programs that came later.
pub(crate) struct Layer {
    pub artifact: Artifact,
    pub loaded: Loaded,
    pub links: Vec<Link>,
    pub events: Events,
}

impl Layer {
    pub fn view(&self) -> View<'_> {
        View::new(&self.artifact, &self.loaded)
    }
}

/// All that came later, and who looks for more.
#[derive(Default)]
pub struct Later<'a> {
    pub(crate) layers: Vec<Layer>,
    pub(crate) follow: Option<&'a mut dyn Follow>,
    next: Option<Instant>,
}

/// Between two looks, at least; looking takes a twentieth of the time at most, where it is in vain.
const PAUSE: Duration = Duration::from_millis(50);
const SHARE: u32 = 20;

impl<'a> Later<'a> {
    pub fn new(follow: &'a mut dyn Follow) -> Later<'a> {
        Later { follow: Some(follow), ..Later::default() }
    }
}

impl Later<'_> {
    /// How long to wait for anything else before the next look; `None`: for as long as it takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.follow.as_ref()?;
        Some(self.next.map_or(Duration::ZERO, |n| n.saturating_duration_since(Instant::now())))
    }

    /// Looks around where it is time, and attaches what has appeared. Gives what is to be said.
    pub(crate) fn look(&mut self, first: (&Artifact, &Loaded), cx: &Context, missing: Missing) -> Vec<Diagnostic> {
        let Some(follow) = self.follow.as_mut().filter(|_| self.next.is_none_or(|n| n <= Instant::now())) else { return Vec::new() };
        let begin = Instant::now();
        let last = self.layers.last().map_or(first, |l| (&l.artifact, &l.loaded));
        let mut found = follow.look(last.0, last.1);
        let share = if found.changed { 1 } else { SHARE };
        if let Some((artifact, loaded)) = found.added {
            let mut left_out = Vec::new();
            let links = attach::attach(&artifact, &loaded, cx, Some(&mut left_out), &mut || false);
            if missing != Missing::Ignore {
                found.said.append(&mut left_out);
            }
            match (links, Events::open(&artifact.plan, &loaded.maps)) {
                (Ok(links), Ok(events)) => {
                    follow.attached(&artifact);
                    self.layers.push(Layer { artifact, loaded, links, events });
                }
                (Err(d), _) => found.said.push(d.as_warning()),
                (Ok(links), Err(e)) => {
                    attach::detach(links);
                    found.said.push(failed("read events", &e));
                }
            }
        }
        self.next = Some(Instant::now() + PAUSE.max(begin.elapsed() * share));
        found.said
    }

    /// Takes all links out, to be detached.
    pub(crate) fn take_links(&mut self) -> Vec<Link> {
        self.layers.iter_mut().flat_map(|l| std::mem::take(&mut l.links)).collect()
    }
}
