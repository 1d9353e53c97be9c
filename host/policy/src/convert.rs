//! From the contract's types to the scheduler's.

use crate::bindings::types;
use crate::failure::{Failure, FailureKind};
use crate::guest::cut;
use pointsman_scheduler::policies::{Action, NO_WORKER, Proposal};

const MAX_REASON: usize = 200;

/// The proposals of one review; refused whole if one of them is not allowed.
pub(crate) fn proposals(
    answered: Vec<types::Proposal>,
    on_worker: &[u32],
) -> Result<Vec<Proposal>, Failure> {
    let mut is_taken = vec![false; on_worker.len()];
    let mut proposals = Vec::with_capacity(answered.len().min(on_worker.len()));
    for proposal in answered {
        let row = proposal.row as usize;
        let unknown = |why: &str| {
            Failure::new(FailureKind::UnknownRow, format!("review proposed for row {row}, {why}"))
        };
        let Some(worker) = on_worker.get(row) else {
            return Err(unknown(&format!("but there are {} rows", on_worker.len())));
        };
        if std::mem::replace(&mut is_taken[row], true) {
            return Err(unknown("twice; one proposal per row is taken"));
        }
        let action = action(proposal.action);
        if *worker == NO_WORKER && matches!(action, Action::Migrate | Action::Requeue) {
            return Err(unknown("which is waiting: only cancel and raise-priority are possible"));
        }
        proposals.push(Proposal { row, action, reason: cut(proposal.reason, MAX_REASON) });
    }
    Ok(proposals)
}

fn action(action: types::Action) -> Action {
    match action {
        types::Action::Migrate => Action::Migrate,
        types::Action::Requeue => Action::Requeue,
        types::Action::Cancel => Action::Cancel,
        types::Action::RaisePriority(priority) => Action::RaisePriority(priority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(row: u32, action: types::Action) -> types::Proposal {
        types::Proposal { row, action, reason: "hot".to_owned() }
    }

    #[test]
    fn a_proposal_for_an_unknown_or_waiting_or_repeated_row_drops_the_answer() {
        let on_worker = [0, NO_WORKER];
        let refused = [
            vec![propose(2, types::Action::Cancel)],
            vec![propose(1, types::Action::Migrate)],
            vec![propose(0, types::Action::Cancel), propose(0, types::Action::Requeue)],
        ];
        for answer in refused {
            let failure = proposals(answer, &on_worker).unwrap_err();
            assert_eq!(failure.kind, FailureKind::UnknownRow);
        }
        let answer =
            vec![propose(0, types::Action::Migrate), propose(1, types::Action::RaisePriority(3))];
        let taken = proposals(answer, &on_worker).unwrap();
        assert_eq!(taken[1].action, Action::RaisePriority(3));
    }

    #[test]
    fn a_long_reason_is_cut() {
        let mut long = propose(0, types::Action::Migrate);
        long.reason = "é".repeat(500);
        let taken = proposals(vec![long], &[0]).unwrap();
        assert_eq!(taken[0].reason.chars().count(), MAX_REASON + 1);
    }
}
