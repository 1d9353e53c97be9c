//! Workers: what operators see and do, and the protocol that worker processes speak.

use super::super::guard::Role;
use super::super::operation::{Body, Operation, Parameter, shape};
use super::super::{log, workers};
use super::tasks::stream;
use super::{bytes, worker_id};
use pointsman_protocol::api::{StandingsView, WorkerView};
use pointsman_protocol::worker::{
    CommandsResponse, LOG_CHUNK_MAX, LOG_CONTENT_TYPE, RegisterRequest, RegisterResponse,
    SyncRequest, SyncResponse,
};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/workers", "listWorkers", workers::list).says("All workers").json::<Vec<
            WorkerView,
        >>(
            200,
            "In the order of their ids.",
        ),
        Operation::get("/v1/scores", "showScores", workers::scores)
            .says("How the scoring policy sees each worker")
            .json::<StandingsView>(200, "For a task like the one placed last.")
            .driven(),
        order(Operation::post("/v1/workers/{id}/drain", "drainWorker", workers::drain))
            .says("Give a worker no new work; what runs there goes on"),
        order(Operation::post("/v1/workers/{id}/resume", "resumeWorker", workers::resume))
            .says("Give a drained worker work again"),
    ]
}

fn order(operation: Operation) -> Operation {
    operation
        .role(Role::Admin)
        .takes(worker_id())
        .no_body()
        .nothing("Done.")
        .refuses(404, &["unknown_worker"])
        .driven()
}

/// What worker processes send. Keys that are unknown here are passed over.
pub fn protocol() -> Vec<Operation> {
    vec![
        Operation::post("/v1/workers", "registerWorker", workers::register)
            .says("A worker process begins, or comes back")
            .role(Role::Worker)
            .json_body::<RegisterRequest>("What it is, offers and holds.")
            .json::<RegisterResponse>(200, "Its id and the times it keeps.")
            .refuses(409, &["worker_name_taken", "old_registration"])
            .refuses(422, &["invalid_field"])
            .driven(),
        Operation::post("/v1/workers/{id}/sync", "syncWorker", workers::sync)
            .says("Heartbeat, measurements and reports of attempts")
            .role(Role::Worker)
            .takes(worker_id())
            .json_body::<SyncRequest>("What happened since the last acknowledged one.")
            .json::<SyncResponse>(200, "It need not be repeated.")
            .refuses(404, &["unknown_worker"])
            .refuses(409, &["old_life"])
            .driven(),
        Operation::get("/v1/workers/{id}/commands", "pollCommands", workers::commands)
            .says("Commands for a worker, held until there are some, up to an interval")
            .role(Role::Worker)
            .takes(worker_id())
            .takes(Parameter::query("after", "The last one taken; absent: 0.", shape::<u64>))
            .takes(Parameter::query("life", "Of the registration.", shape::<u64>).required())
            .json::<CommandsResponse>(200, "Repeated until a sync acknowledges them.")
            .refuses(404, &["unknown_worker"])
            .refuses(409, &["old_life"]),
        write_log(),
    ]
}

fn write_log() -> Operation {
    let body = Body {
        contents: vec![(LOG_CONTENT_TYPE, bytes)],
        max: LOG_CHUNK_MAX,
        text: "Up to 256 KiB of output.",
    };
    let needed = |name, text| Parameter::query(name, text, shape::<u64>).required();
    Operation::post("/v1/workers/{id}/log", "writeLog", log::write)
        .says("A piece of output of an attempt")
        .role(Role::Worker)
        .takes(worker_id())
        .takes(needed("task", "The number in its id."))
        .takes(Parameter { shape: shape::<u32>, ..needed("attempt", "Its number.") })
        .takes(needed("term", "In which it was dispatched."))
        .takes(needed("offset", "Bytes of the stream before this piece."))
        .takes(stream())
        .takes(Parameter::query(
            "truncated",
            "Something between this piece and the one before was not kept.",
            shape::<bool>,
        ))
        .body(body)
        .nothing("Written; the same piece may be sent again.")
        .refuses(404, &["unknown_attempt"])
        .refuses(500, &["log_failed"])
        .refuses(507, &["no_room_for_output"])
}
