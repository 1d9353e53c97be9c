

class Forecasting(exports.Forecasting):
    def forecast(self, workers):
        try:
            rows = [policy.forecast(samples) for samples in zip(*workers)]
            return [[row[column] for row in rows] for column in range(len(policy.PROVIDES))]
        except Exception as error:
            raise told(error)
