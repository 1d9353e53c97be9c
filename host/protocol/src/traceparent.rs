//! The header `traceparent` (W3C Trace Context, level 1), and the ids of our spans, which follow from what
//! they tell of: so each host that takes over goes on with the same.

use pointsman_scheduler::ids::{AttemptRef, JobId, TaskId};
use pointsman_scheduler::spec::TraceContext;
use std::fmt;

/// `00-<32 digits>-<16 digits>-<2 digits>`. None: it is not one, and to be ignored.
pub fn parse(text: &str) -> Option<TraceContext> {
    let mut parts = text.trim().split('-');
    let [version, trace_id, parent, flags] =
        [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let version = hex(version, 2)?;
    // Later versions may append; version 255 is forbidden.
    let is_known = if version == 0 { parts.next().is_none() } else { version < 255 };
    let trace_id = hex(trace_id, 32)?;
    let parent = u64::try_from(hex(parent, 16)?).ok()?;
    let is_sampled = hex(flags, 2)? & 1 == 1;
    let is_valid = is_known && trace_id != 0 && parent != 0;
    is_valid.then_some(TraceContext { trace_id, parent, is_sampled })
}

/// Lower-case digits only, as the standard demands.
fn hex(text: &str, n_digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != n_digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// A span of ours, as a `traceparent` for whoever works below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    pub trace_id: u128,
    pub span: u64,
    pub is_sampled: bool,
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span)
    }
}

/// For the script of an attempt.
pub fn of_attempt(trace: &TraceContext, attempt: AttemptRef) -> Traceparent {
    let span = Span::Attempt(attempt).id(trace);
    Traceparent { trace_id: trace.trace_id, span, is_sampled: trace.is_sampled }
}

/// What a span of ours tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The request that brought a job.
    SubmitJob(JobId),
    /// The request that brought a single task.
    SubmitTask(TaskId),
    Job(JobId),
    Task(TaskId),
    /// From ready to placed.
    Decision(AttemptRef),
    Attempt(AttemptRef),
}

impl Span {
    pub fn id(self, trace: &TraceContext) -> u64 {
        let of_attempt = |kind, it: AttemptRef| [kind, it.task.0, u64::from(it.attempt), it.term.0];
        let words = match self {
            Span::SubmitJob(job) => [1, job.0, 0, 0],
            Span::SubmitTask(task) => [2, task.0, 0, 0],
            Span::Job(job) => [3, job.0, 0, 0],
            Span::Task(task) => [4, task.0, 0, 0],
            Span::Decision(attempt) => of_attempt(5, attempt),
            Span::Attempt(attempt) => of_attempt(6, attempt),
        };
        let seed =
            mixed(trace.trace_id as u64) ^ mixed((trace.trace_id >> 64) as u64 ^ trace.parent);
        // Zero is no id.
        words.into_iter().fold(seed, |hash, word| mixed(hash ^ word)).max(1)
    }
}

/// The finalizer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014).
fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_scheduler::ids::Term;
    use std::collections::BTreeSet;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let trace = parse(GOOD).expect("it is one");
        assert_eq!(trace.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((trace.parent, trace.is_sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert!(!parse(&GOOD.replace("-01", "-00")).expect("not sampled").is_sampled);
        assert!(parse(&GOOD.replace("-01", "-03")).expect("other flags").is_sampled);
        assert!(parse(&format!("cc{}-later", &GOOD[2..])).is_some(), "a later version");
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replace("-01", "-1"),
            &GOOD.replace("-01", "-01-x"),
            &GOOD.replace("00-4", "ff-4"),
            &GOOD.replace("00-4", "0x-4"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"),
            &GOOD.replace('-', "_"),
            "é",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_script_gets_the_id_of_its_attempt_in_the_form_of_the_standard() {
        let trace = parse(GOOD).expect("it is one");
        let attempt = AttemptRef { task: TaskId(7), attempt: 2, term: Term(3) };
        let text = of_attempt(&trace, attempt).to_string();
        let back = parse(&text).expect("our own is one");
        assert_eq!((back.trace_id, back.is_sampled), (trace.trace_id, true));
        assert_eq!(back.parent, Span::Attempt(attempt).id(&trace));
    }

    #[test]
    fn each_span_has_an_id_of_its_own() {
        let trace = parse(GOOD).expect("it is one");
        let mut ids = BTreeSet::new();
        let mut n = 0;
        for id in 0..200 {
            let attempts = (1..4).flat_map(|attempt| {
                let attempt = AttemptRef { task: TaskId(id), attempt, term: Term(1) };
                [Span::Decision(attempt), Span::Attempt(attempt)]
            });
            let others = [
                Span::SubmitJob(JobId(id)),
                Span::SubmitTask(TaskId(id)),
                Span::Job(JobId(id)),
                Span::Task(TaskId(id)),
            ];
            for span in attempts.chain(others) {
                ids.insert(span.id(&trace));
                n += 1;
            }
        }
        assert_eq!(ids.len(), n);
    }
}
