class Queue(exports.Queue):
    def rank(self, now_ms, tasks):
        try:
            return [policy.rank(now_ms, task) for task in map(policy.Task._make, zip(*tasks))]
        except Exception as error:
            raise told(error)
