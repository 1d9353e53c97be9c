class Scoring(exports.Scoring):
    def score(self, task, workers):
        try:
            task = policy.Task._make(task)
            return [policy.score(task, worker) for worker in map(policy.Worker._make, zip(*workers))]
        except Exception as error:
            raise told(error)
