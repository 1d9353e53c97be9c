//! Contents that were refused lately, so that none is looked at or complained of twice.

use crate::admission::{Refusal, Stage};
use crate::generation::ContentKey;
use std::collections::VecDeque;

/// Refusals remembered for a slot; a slow copy shows many half files.
const MAX_REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    recent: VecDeque<(ContentKey, Refusal)>,
    /// Since the start; each content counts once, and what could not be read each time.
    pub n_refused: u64,
}

impl Refusals {
    /// Whether this is new; remembers it. `key`: None: it could not be read.
    pub fn note(&mut self, key: Option<ContentKey>, refusal: &Refusal) -> bool {
        let Some(key) = key else {
            self.n_refused += 1;
            return true;
        };
        if self.recent.iter().any(|(known, why)| *known == key && why == refusal) {
            return false;
        }
        self.recent.retain(|(known, _)| *known != key);
        self.recent.push_back((key, refusal.clone()));
        if self.recent.len() > MAX_REMEMBERED {
            self.recent.pop_front();
        }
        self.n_refused += 1;
        true
    }

    /// Why this content was refused, if it would be again.
    pub fn of(&self, key: ContentKey) -> Option<&Refusal> {
        let known = self.recent.iter().find(|(known, _)| *known == key);
        // A pin and a file's whereabouts change without its content.
        known.map(|(_, why)| why).filter(|why| !matches!(why.stage, Stage::Pin | Stage::Read))
    }

    /// All contents get another chance.
    pub fn clear(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Digest;

    #[test]
    fn no_content_is_complained_of_twice() {
        let mut refusals = Refusals::default();
        let key = |i: usize| ContentKey::new(Digest::of(&i.to_be_bytes()), "{}", None);
        let refusal = Refusal::new(Stage::Format, "half a file");
        for i in [0, 1, 0, 1] {
            refusals.note(Some(key(i)), &refusal);
        }
        assert_eq!(refusals.n_refused, 2);
        assert_eq!(refusals.of(key(0)), Some(&refusal));
        let pinned = Refusal::new(Stage::Pin, "another is pinned");
        assert!(refusals.note(Some(key(0)), &pinned));
        assert_eq!(refusals.of(key(0)), None, "the pin may change");
        for i in 0..10 * MAX_REMEMBERED {
            refusals.note(Some(key(i)), &refusal);
        }
        assert_eq!(refusals.recent.len(), MAX_REMEMBERED);
    }
}
