#!/bin/sh
# sudo env PATH="$PATH" docs/two_hosts.sh RATE ARGUMENT...: tinyalex.bench.workers on two machines,
# which are network namespaces of this one, joined by a virtual cable that carries RATE (as tc writes
# it: 1gbit).
#
# Needs Linux, root, iproute2, and the MPICH of the extra [mpi] in the PATH.
set -eu

if [ "$1" = -x ]; then # mpiexec calls it as it would call ssh: -x ADDRESS COMMAND
    name=tinyalex${2##*.}
    shift 2
    exec ip netns exec "$name" unshare --uts sh -c "hostname $name; $*"
fi

rate=$1
shift
trap 'ip netns del tinyalex1 2>/dev/null; ip netns del tinyalex2 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
ip netns add tinyalex1
ip netns add tinyalex2
ip link add cable netns tinyalex1 type veth peer name cable netns tinyalex2
for i in 1 2; do
    ip -n tinyalex$i addr add 10.77.0.$i/24 dev cable
    ip -n tinyalex$i link set cable up
    ip -n tinyalex$i link set lo up
    ip netns exec tinyalex$i tc qdisc add dev cable root tbf rate "$rate" burst 64kb latency 50ms
done
for i in 1 2; do # the kernel takes a moment to find the other end
    until ip -n tinyalex$i -br link show cable | grep -q " UP "; do sleep 0.1; done
done
# Only TCP: MPICH would find out that the workers can share memory after all.
ip netns exec tinyalex1 unshare --uts sh -c 'hostname tinyalex1; exec "$@"' sh \
    mpiexec -launcher ssh -launcher-exec "$(realpath "$0")" \
    -hosts 10.77.0.1,10.77.0.2 -iface cable -genv UCX_TLS tcp \
    -genv UCX_NET_DEVICES cable -n 2 \
    sh -c 'exec taskset -c "$PMI_RANK" python -m mpi4py -m tinyalex.bench.workers "$@"' sh "$@"
