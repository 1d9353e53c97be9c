//! Jobs.

use super::super::SUBMISSION_MAX;
use super::super::guard::Role;
use super::super::jobs;
use super::super::operation::{Body, JSON, Operation, Parameter, shape};
use super::{cursor, job_id, limit};
use pointsman_protocol::api::{CancelJobResponse, CriticalPathView, JobView, Page, SubmitResponse};
use pointsman_protocol::schema::{JobIdText, Submission};
use schemars::json_schema;

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/jobs", "listJobs", jobs::list)
            .says("Jobs in the order of their ids")
            .takes(limit())
            .takes(cursor(shape::<JobIdText>))
            .json::<Page<JobView>>(200, "A page of jobs."),
        submission("/v1/jobs", "submitJob").says("Submit a job, a list of tasks, or one task"),
        submission("/v1/tasks", "submitTask").says("The same as POST /v1/jobs"),
        Operation::get("/v1/jobs/{id}", "showJob", jobs::show)
            .says("One job")
            .takes(job_id())
            .json::<JobView>(200, "The job.")
            .refuses(404, &["unknown_job"]),
        Operation::get("/v1/jobs/{id}/critical-path", "showCriticalPath", jobs::critical_path)
            .says("The longest chain of a job, and the tasks with the least slack")
            .takes(job_id())
            .takes(limit())
            .json::<CriticalPathView>(200, "As far as it is known now.")
            .refuses(404, &["unknown_job"])
            .refuses(422, &["too_many_tasks"]),
        Operation::post("/v1/jobs/{id}/cancel", "cancelJob", jobs::cancel)
            .says("Cancel all tasks of a job that have not ended")
            .role(Role::Submit)
            .takes(job_id())
            .no_body()
            .json::<CancelJobResponse>(200, "What was cancelled, and what was told to stop.")
            .refuses(404, &["unknown_job"])
            .driven(),
    ]
}

fn submission(path: &'static str, id: &'static str) -> Operation {
    let body = Body {
        contents: vec![(JSON, shape::<Submission>)],
        max: SUBMISSION_MAX,
        text: "A job, a bare list of tasks, or one task for the job `default`; up to 64 MiB.",
    };
    Operation::post(path, id, jobs::submit)
        .role(Role::Submit)
        .details(
            "All of it is taken, durably, or nothing. With an Idempotency-Key it may be repeated after any \
             failure: what was taken before is answered again.",
        )
        .takes(Parameter::header(
            "Idempotency-Key",
            "Chosen by the client, one for each submission.",
            |_| json_schema!({ "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$" }),
        ))
        .takes(Parameter::header(
            "traceparent",
            "W3C Trace Context of the submitter; anything else is passed over.",
            shape::<String>,
        ))
        .body(body)
        .json::<SubmitResponse>(201, "Taken.")
        .json::<SubmitResponse>(200, "Taken before, with the same Idempotency-Key.")
        .refuses(409, &["name_in_use", "idempotency_key_reused"])
        .refuses(422, &["invalid_field", "unknown_queue", "empty_job", "duplicate_name"])
        .refuses(422, &["unknown_dependency", "dependency_cycle"])
        .refuses(429, &["queue_full"])
        .driven()
}
