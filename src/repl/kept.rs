//! Maps that no running probe has: they can still be shown.

use crate::run::Text;
use awl_compiler::artifact::{Artifact, StackStore};
use awl_runtime::load::Stacks;
use awl_runtime::maps::Saved;
use awl_runtime::output::{self, Output};
use awl_runtime::symbols::Symbols;
use std::sync::Arc;

pub struct Kept {
    /// says how it is printed
    pub artifact: Arc<Artifact>,
    pub saved: Saved,
    pub stacks: Stacks,
}

impl Kept {
    pub fn show(&self) -> String {
        let plan = &self.artifact.plan;
        let Some(i) = plan.maps.iter().position(|m| m.name == self.saved.name) else { return String::new() };
        let text = Text::default();
        let mut output = Output::new(Box::new(text.clone()), Box::new(std::io::sink()), output::Options::default());
        let mut ctx = Alone { stacks: self.stacks.clone(), ..Alone::default() };
        output.map(plan, i, &self.saved.rows, Default::default(), &mut ctx);
        output.flush();
        text.take()
    }
}

/// Printing without a session: there is nothing to ask but names.
pub struct Alone {
    symbols: Symbols,
    stacks: Stacks,
}

impl Default for Alone {
    fn default() -> Alone {
        Alone { symbols: Symbols::new(Default::default()), stacks: Stacks::default() }
    }
}

impl output::Context for Alone {
    fn read_map(&mut self, _map: usize) -> std::io::Result<output::Entries> {
        Ok(output::Entries::default())
    }

    fn clear(&mut self, _map: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn zero(&mut self, _map: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn stack(&mut self, store: StackStore, id: i64) -> Option<Vec<u64>> {
        self.stacks.frames(store, id)
    }

    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn place(&mut self, _span: awl_compiler::Span) -> Option<output::Place> {
        None
    }
}
