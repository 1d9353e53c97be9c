//! Policies.

use super::super::POLICY_MAX;
use super::super::guard::{Role, WASM_CONTENT_TYPE};
use super::super::operation::{Body, JSON, Operation, Parameter, shape};
use super::super::policies;
use super::bytes;
use pointsman_protocol::api::{PoliciesView, WireSlot};
use schemars::json_schema;

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/policies", "listPolicies", policies::list)
            .says("What serves each slot, what could, and what was refused")
            .json::<PoliciesView>(200, "Slots, available policies, refusals."),
        bind(),
        Operation::post("/v1/policies/reload", "reloadPolicies", policies::reload)
            .says("Look at the policies folder now")
            .role(Role::Admin)
            .no_body()
            .json::<PoliciesView>(200, "After everything found was decided.")
            .driven(),
        Operation::post("/v1/policies/{slot}/rollback", "rollBackPolicy", policies::roll_back)
            .says("Back to the generation before")
            .role(Role::Admin)
            .takes(slot())
            .no_body()
            .json::<PoliciesView>(200, "It serves.")
            .refuses(404, &["unknown_slot"])
            .refuses(409, &["no_earlier_policy"])
            .driven(),
    ]
}

fn slot() -> Parameter {
    Parameter::path("slot", "A slot.", shape::<WireSlot>)
}

fn bind() -> Operation {
    let body = Body {
        contents: vec![(JSON, shape::<policies::Binding>), (WASM_CONTENT_TYPE, bytes)],
        max: POLICY_MAX,
        text: "The name of a policy, or a policy itself, a WebAssembly component.",
    };
    Operation::put("/v1/policies/{slot}", "bindPolicy", policies::bind)
        .says("Choose the policy of a slot, or hand one over")
        .details("It serves until the configuration of the slot changes.")
        .role(Role::Admin)
        .takes(slot())
        .takes(Parameter::query("name", "Of a policy that is handed over; it needs one.", |_| {
            json_schema!({
                "type": "string", "maxLength": policies::NAME_MAX, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
            })
        }))
        .body(body)
        .json::<PoliciesView>(200, "It serves.")
        .refuses(404, &["unknown_slot", "unknown_policy"])
        .refuses(409, &["unbound"])
        .refuses(422, &["bad_body", "policy_refused", "no_name", "two_names"])
        .refuses(503, &["undecided"])
        .driven()
}
