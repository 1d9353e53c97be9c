//! Texts with a form. Patterns are those of ECMA-262; a form with a bound that no pattern can state
//! (3650 days, 1 PiB) is described a little narrower than it is read.

use super::schema;
use crate::labels::{KEY_CHARS_MAX, LABELS_MAX, VALUE_CHARS_MAX};
use crate::name::NAME_CHARS_MAX;
use schemars::json_schema;

schema! {
    /// Of a job.
    JobIdText as "JobId": _generator => json_schema!({
        "type": "string", "pattern": "^j(0|[1-9][0-9]{0,18})$", "examples": ["j1"],
        "description": "The id of a job.",
    })
}

schema! {
    /// Of a task.
    TaskIdText as "TaskId": _generator => json_schema!({
        "type": "string", "pattern": "^t(0|[1-9][0-9]{0,18})$", "examples": ["t1"],
        "description": "The id of a task. Ids grow in the order of submission.",
    })
}

schema! {
    /// Of a worker.
    WorkerIdText as "WorkerId": _generator => json_schema!({
        "type": "string", "pattern": "^w(0|[1-9][0-9]{0,8})$", "examples": ["w1"],
        "description": "The id of a worker, kept over its restarts.",
    })
}

schema! {
    /// As [`crate::timestamp::Timestamp`] writes it.
    TimestampText as "Timestamp": _generator => json_schema!({
        "type": "string", "format": "date-time", "examples": ["2026-10-25T01:30:00.000Z"],
        "description": "A moment in UTC, to the millisecond.",
    })
}

schema! {
    /// As [`crate::name::parse_name`] reads it.
    NameText as "Name": _generator => json_schema!({
        "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX,
        "pattern": r"^[^/\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\ufeff\u2028-\u202e\u2066-\u2069]+$",
        "not": { "enum": [".", ".."] },
        "description": "1 to 200 characters in their normal form (NFC), without '/', control characters and \
            characters that change the direction of writing, and neither '.' nor '..'.",
    })
}

schema! {
    /// As [`crate::labels::check_labels`] takes them.
    LabelsText as "Labels": _generator => json_schema!({
        "type": "object", "maxProperties": LABELS_MAX,
        "propertyNames": {
            "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
        },
        "additionalProperties": {
            "type": "string", "maxLength": VALUE_CHARS_MAX, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
        },
        "description": "Labels by their keys.",
    })
}

/// At least two characters: a number and a unit.
const SPAN: &str = "^([1-9][0-9]{0,2}d)?([1-9][0-9]{0,3}h)?([1-9][0-9]{0,5}m)?([1-9][0-9]{0,6}s)?\
                    ([1-9][0-9]{0,9}ms)?$";

schema! {
    /// As [`crate::duration::parse_duration`] reads it, or whole seconds.
    DurationText as "Duration": _generator => json_schema!({
        "anyOf": [
            {
                "type": "string", "minLength": 2, "pattern": SPAN, "examples": ["30m", "1h30m", "500ms"],
            },
            { "type": "integer", "minimum": 1, "maximum": crate::duration::DURATION_MAX.as_secs() },
        ],
        "description": "A positive span of time up to 3650 days: units d, h, m, s, ms, the larger ones first, or \
            whole seconds as a number.",
    })
}

/// So few digits of each unit that none exceeds 1 PiB.
const AMOUNT: &str = "^([0-9]{1,15}( ?[bB])?|[0-9]{1,12}(\\.[0-9]{1,6})? ?[kK][iI]?[bB]?|\
                      [0-9]{1,9}(\\.[0-9]{1,9})? ?[mM][iI]?[bB]?|[0-9]{1,6}(\\.[0-9]{1,9})? ?[gG][iI]?[bB]?|\
                      [0-9]{1,3}(\\.[0-9]{1,9})? ?[tT][iI]?[bB]?|[01] ?[pP][iI]?[bB]?)$";

schema! {
    /// As [`crate::quantity::parse_memory`] reads it, or whole bytes.
    MemoryText as "Memory": _generator => json_schema!({
        "anyOf": [
            { "type": "string", "pattern": AMOUNT, "examples": ["8GB", "512MiB", "1.5 GiB"] },
            { "type": "integer", "minimum": 0, "maximum": crate::quantity::MEMORY_MAX },
        ],
        "description": "An amount of memory up to 1 PiB: `KB MB GB TB PB` are powers of 1000, \
            `KiB MiB GiB TiB PiB` powers of 1024, in any case; or whole bytes as a number.",
    })
}
