"""The loss, the exchange and the optimiser, each with one mistake."""

import numpy as np

from tinyalex.gradcheck.mutants.plant import plant
from tinyalex.layers import SoftmaxCrossEntropy
from tinyalex.network import Exchange
from tinyalex.optim import SGD


class TextbookLoss(SoftmaxCrossEntropy):
    """dx = (p − onehot) / N, from its parts."""

    def backward(self):
        log_p, true = self._recall()
        onehot = np.zeros_like(log_p)
        onehot[true] = 1
        return self.parts(np.exp(log_p), onehot, *log_p.shape)

    def parts(self, p, onehot, N, K):
        return (p - onehot) / N


@plant("SoftmaxCrossEntropy", "without the one-hot")
class LossWithoutOneHot(TextbookLoss):
    """dx = p / N: the 1 of the label is not subtracted"""

    def parts(self, p, onehot, N, K):
        return p / N


@plant("SoftmaxCrossEntropy", "forgotten ÷N")
class LossSum(TextbookLoss):
    """dx is not divided by the number of pictures"""

    def parts(self, p, onehot, N, K):
        return p - onehot


@plant("SoftmaxCrossEntropy", "divided by K")
class LossOverClasses(TextbookLoss):
    """dx is divided by the number of classes"""

    def parts(self, p, onehot, N, K):
        return (p - onehot) / K


@plant("SoftmaxCrossEntropy", "wrong sign")
class LossUphill(TextbookLoss):
    """onehot − p: training climbs"""

    def parts(self, p, onehot, N, K):
        return (onehot - p) / N


@plant("SoftmaxCrossEntropy", "one-hot only")
class LossOneHotOnly(TextbookLoss):
    """dx = −onehot / N: the sum over exp(x) is taken for a constant"""

    def parts(self, p, onehot, N, K):
        return -onehot / N


@plant("SoftmaxCrossEntropy", "÷N of one part only")
class LossHalfDivided(TextbookLoss):
    """p − onehot / N: a pair of brackets is missing"""

    def parts(self, p, onehot, N, K):
        return p - onehot / N


class TextbookExchange(Exchange):
    """The backward of an exchange in one place, for towers that need no copies."""

    def backward(self, dys):
        ends = np.cumsum([0, *self.channels])
        return [self.part(dys, t, ends) for t in range(len(dys))]

    def part(self, dys, t, ends):
        return sum(dy[..., ends[t]:ends[t + 1]] for dy in dys)


@plant("Exchange", "forgets to add")
class ExchangeOwnReader(TextbookExchange):
    """only the gradient of the tower's own reader comes back"""

    def part(self, dys, t, ends):
        return dys[t][..., ends[t]:ends[t + 1]].copy()


@plant("Exchange", "forgets to add")
class ExchangeOtherReader(TextbookExchange):
    """the last reader's gradient overwrites the first's"""

    def part(self, dys, t, ends):
        return dys[1 - t][..., ends[t]:ends[t + 1]].copy()


@plant("Exchange", "part taken from the other tower")
class ExchangeSwapped(TextbookExchange):
    """each tower is handed the gradient of the other one's maps"""

    def part(self, dys, t, ends):
        first = 0 if t else ends[-1] - ends[1]
        return sum(dy[..., first:first + ends[t + 1] - ends[t]] for dy in dys)


@plant("Exchange", "averaged over the readers")
class ExchangeMean(TextbookExchange):
    """the readers' gradients are averaged where they should be added"""

    def part(self, dys, t, ends):
        return super().part(dys, t, ends) / len(dys)


@plant("Exchange", "one reader counted twice")
class ExchangeTwice(TextbookExchange):
    """the tower's own reader is counted twice, the other not at all"""

    def part(self, dys, t, ends):
        return 2 * dys[t][..., ends[t]:ends[t + 1]]


class TextbookSGD(SGD):
    """The update on whole arrays; `rule` returns the new w and v."""

    def step(self):
        for p in self.network.parameters:
            w, v = p.value, self.velocity[p.name]
            w[...], v[...] = self.rule(w, v, p.grad, self.lr, self.momentum, self.weight_decay)

    def rule(self, w, v, g, lr, m, decay):
        v = m * v - decay * lr * w - lr * g
        return w + v, v


@plant("SGD", "learning rate outside the velocity")
class SGDRateOutside(TextbookSGD):
    """w ← w − lr·v: as in later libraries, a drop of the rate also slows the old velocity"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v + decay * w + g
        return w - lr * v, v


@plant("SGD", "decay without the learning rate")
class SGDDecayWithoutRate(TextbookSGD):
    """the decay term lacks the learning rate"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v - decay * w - lr * g
        return w + v, v


@plant("SGD", "decay of the wrong sign")
class SGDGrows(TextbookSGD):
    """weight decay makes weights grow"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v + decay * lr * w - lr * g
        return w + v, v


@plant("SGD", "no momentum")
class SGDForgets(TextbookSGD):
    """the velocity is not kept from step to step"""

    def rule(self, w, v, g, lr, m, decay):
        return super().rule(w, 0 * v, g, lr, m, decay)


@plant("SGD", "gradient damped by 1 − momentum")
class SGDDamped(TextbookSGD):
    """v is a running mean of gradients, where it should be a sum that fades"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v - decay * lr * w - (1 - m) * lr * g
        return w + v, v


@plant("SGD", "Nesterov's momentum")
class SGDLooksAhead(TextbookSGD):
    """the step looks ahead along the velocity"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v - decay * lr * w - lr * g
        return w + m * v - decay * lr * w - lr * g, v


@plant("SGD", "weights moved by the old velocity")
class SGDOldVelocity(TextbookSGD):
    """w moves before v is renewed"""

    def rule(self, w, v, g, lr, m, decay):
        return w + v, m * v - decay * lr * w - lr * g


@plant("SGD", "decay after the step")
class SGDDecayAfter(TextbookSGD):
    """weights shrink after the step, beside the velocity"""

    def rule(self, w, v, g, lr, m, decay):
        v = m * v - lr * g
        return (w + v) * (1 - decay * lr), v
