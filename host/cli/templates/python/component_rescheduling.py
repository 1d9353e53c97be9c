NO_WORKER = 4294967295
ACTIONS = {
    "migrate": types.Action_Migrate,
    "requeue": types.Action_Requeue,
    "cancel": types.Action_Cancel,
    "raise-priority": types.Action_RaisePriority,
}


class Rescheduling(exports.Rescheduling):
    def review(self, now_ms, tasks, on_worker, workers):
        try:
            workers = [policy.Worker._make(row) for row in zip(*workers)]
            proposals = []
            for row, task in enumerate(map(policy.Task._make, zip(*tasks))):
                at = on_worker[row]
                proposal = policy.review(now_ms, task, None if at == NO_WORKER else workers[at])
                if proposal is not None:
                    action, reason, *value = proposal
                    proposals.append(types.Proposal(row, ACTIONS[action](*value), reason))
            return proposals
        except Exception as error:
            raise told(error)
