//! Tasks and their output.

use super::super::guard::Role;
use super::super::operation::{Answer, Operation, Parameter, shape};
use super::super::{log, tasks};
use super::{bytes, cursor, limit, moment, one_of, task_id};
use pointsman_protocol::api::{
    CancelTaskResponse, ExplanationView, Page, RetryResponse, TaskView, WireTaskState,
};
use pointsman_protocol::schema::{JobIdText, TaskIdText, WorkerIdText};
use pointsman_protocol::worker::LOG_CONTENT_TYPE;

pub fn operations() -> Vec<Operation> {
    vec![
        list(),
        Operation::get("/v1/tasks/{id}", "showTask", tasks::show)
            .says("One task with all its attempts")
            .takes(task_id())
            .json::<TaskView>(200, "The task.")
            .refuses(404, &["unknown_task"]),
        Operation::get("/v1/tasks/{id}/explain", "explainTask", tasks::explain)
            .says("Why it waits, or where it could run: worker by worker")
            .takes(task_id())
            .json::<ExplanationView>(200, "The obstacle or the score of each worker.")
            .refuses(404, &["unknown_task"])
            .driven(),
        Operation::post("/v1/tasks/{id}/cancel", "cancelTask", tasks::cancel)
            .says("Cancel a task that has not ended")
            .role(Role::Submit)
            .takes(task_id())
            .no_body()
            .json::<CancelTaskResponse>(200, "Its state now, and whether it was told to stop.")
            .refuses(404, &["unknown_task"])
            .driven(),
        Operation::post("/v1/tasks/{id}/retry", "retryTask", tasks::retry)
            .says("Try a task again that ended, and those that were skipped for it")
            .role(Role::Submit)
            .takes(task_id())
            .no_body()
            .json::<RetryResponse>(200, "How many tasks wait again.")
            .refuses(404, &["unknown_task"])
            .refuses(409, &["not_retryable", "upstream_ended", "name_in_use"])
            .driven(),
        read_log(),
    ]
}

fn list() -> Operation {
    Operation::get("/v1/tasks", "listTasks", tasks::list)
        .says("Tasks in the order of their ids")
        .takes(limit())
        .takes(cursor(shape::<TaskIdText>))
        .takes(Parameter::query("state", "Only those in it.", shape::<WireTaskState>))
        .takes(Parameter::query("queue", "Only those of it.", shape::<String>))
        .takes(Parameter::query("worker", "Only those placed on it.", shape::<WorkerIdText>))
        .takes(Parameter::query("job", "Only those of it.", shape::<JobIdText>))
        .takes(Parameter::query("text", "Only those whose name holds it.", shape::<String>))
        .takes(Parameter::query("submitted_after", "Only those of later.", moment))
        .takes(Parameter::query("submitted_before", "Only those of earlier.", moment))
        .takes(Parameter::query("attempts", "Which of each task; absent: the last.", |_| {
            one_of(&["last", "all"])
        }))
        .json::<Page<TaskView>>(200, "A page of tasks: rows, without scripts and environments.")
}

fn read_log() -> Operation {
    let answer = Answer {
        headers: vec![
            Parameter::header("Pointsman-Log-Offset", "Where the next read goes on.", shape::<u64>)
                .required(),
            Parameter::header(
                "Pointsman-Log-Complete",
                "Whether the attempt has ended and all of it was read.",
                shape::<bool>,
            )
            .required(),
            Parameter::header(
                "Pointsman-Log-Truncated",
                "Whether the script wrote more than was kept.",
                shape::<bool>,
            )
            .required(),
        ],
        ..Answer::of(200, "Up to 1 MiB from the offset on.", (LOG_CONTENT_TYPE, bytes))
    };
    Operation::get("/v1/tasks/{id}/log", "readLog", log::read)
        .says("Output of an attempt, piece by piece")
        .takes(task_id())
        .takes(Parameter::query("attempt", "Its number; absent: the last one.", shape::<u32>))
        .takes(stream())
        .takes(Parameter::query("offset", "Bytes before the piece; absent: 0.", shape::<u64>))
        .takes(Parameter::query(
            "follow",
            "Hold the answer until there is more, up to 5 seconds.",
            shape::<bool>,
        ))
        .answers(answer)
        .refuses(404, &["unknown_task", "unknown_attempt"])
        .refuses(500, &["defect", "log_failed"])
}

pub fn stream() -> Parameter {
    let text = "Which of the two; absent: stdout.";
    Parameter::query("stream", text, |_| one_of(&["stdout", "stderr"]))
}
