//! Queues.

use super::super::guard::Role;
use super::super::operation::{Operation, Parameter, shape};
use super::super::queues;
use pointsman_protocol::api::QueueView;

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/queues", "listQueues", queues::list)
            .says("All queues")
            .json::<Vec<QueueView>>(200, "In the order of their names."),
        order(Operation::post("/v1/queues/{name}/pause", "pauseQueue", queues::pause))
            .says("Start nothing more from a queue"),
        order(Operation::post("/v1/queues/{name}/resume", "resumeQueue", queues::resume))
            .says("Start tasks of a queue again"),
    ]
}

fn order(operation: Operation) -> Operation {
    operation
        .role(Role::Admin)
        .takes(Parameter::path("name", "A queue of the configuration.", shape::<String>))
        .no_body()
        .nothing("Done.")
        .refuses(404, &["unknown_queue"])
        .driven()
}
