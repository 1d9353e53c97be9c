class Scoring(exports.Scoring):
    def score(self, task, workers):
        try:
            score, task = policy.score, policy.Task._make(task)
            return [score(task, worker) for worker in map(policy.Worker._make, zip(*workers))]
        except Exception as error:
            raise told(error)
