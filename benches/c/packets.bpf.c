// What a C programmer would write for the packet tools of examples/net: the same checks, the same maps. One object for each -DCASE_NAME.
#include "case.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

struct tag {
    __be16 id, type;
};

/// Ethernet and up to three VLAN tags, as awl looks behind.
static __always_inline struct iphdr *find_ip(void *data, void *end) {
    struct ethhdr *eth = data;
    if ((void *)(eth + 1) > end)
        return 0;
    __be16 type = eth->h_proto;
    void *at = eth + 1;
#pragma unroll
    for (int i = 0; i < 3; i++) {
        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD) && type != bpf_htons(0x9100))
            break;
        struct tag *tag = at;
        if ((void *)(tag + 1) > end)
            return 0;
        type = tag->type;
        at = tag + 1;
    }
    struct iphdr *ip = at;
    if (type != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
        return 0;
    return ip;
}

#if defined(CASE_pass)
SEC("xdp")
int packet(struct xdp_md *ctx) {
    return XDP_PASS;
}
#elif defined(CASE_tc_pass)
SEC("tc")
int packet(struct __sk_buff *skb) {
    return TC_ACT_UNSPEC;
}
#elif defined(CASE_xdp_drop_cidr)
MAP(dropped, BPF_MAP_TYPE_PERCPU_HASH, __be32, __u64, 4096);

SEC("xdp")
int packet(struct xdp_md *ctx) {
    struct iphdr *ip = find_ip((void *)(long)ctx->data, (void *)(long)ctx->data_end);
    if (!ip || (ip->saddr & bpf_htonl(0xffffff00)) != bpf_htonl(0xc0000200))
        return XDP_PASS;
    __be32 key = ip->saddr;
    __u64 *n = bpf_map_lookup_elem(&dropped, &key);
    if (n)
        ++*n;
    else {
        __u64 one = 1;
        bpf_map_update_elem(&dropped, &key, &one, BPF_NOEXIST);
    }
    return XDP_DROP;
}
#elif defined(CASE_xdp_load_balancer)
#define SERVICE bpf_htonl(0x0a090064)
#define BACKEND_1 SERVICE
#define BACKEND_2 SERVICE

struct mac {
    __u8 at[6];
};
struct flow {
    __be32 address;
    __u16 port;
    __u16 none;
};
MAP(flows, BPF_MAP_TYPE_LRU_HASH, struct flow, __u64, 65536);
MAP(clients, BPF_MAP_TYPE_LRU_HASH, __be32, struct mac, 65536);
MAP(connections, BPF_MAP_TYPE_PERCPU_HASH, __u64, __u64, 4096);
MAP(healthy, BPF_MAP_TYPE_HASH, __u64, __u64, 4096);

static const struct mac backend_macs[2] = {{{2, 0, 0, 0, 0, 0x11}}, {{2, 0, 0, 0, 0, 0x12}}};

static __always_inline void correct(__sum16 *check, __be32 from, __be32 to) {
    __u32 sum = (__u16)~*check;
    sum += (__u16)~(__u16)from + (__u16)~(__u16)(from >> 16) + (__u16)to + (__u16)(to >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    *check = ~sum;
}

SEC("xdp")
int packet(struct xdp_md *ctx) {
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = (void *)(long)ctx->data;
    struct iphdr *ip = find_ip(eth, end);
    if (!ip || ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1fff))
        return XDP_PASS;
    struct tcphdr *tcp = (void *)ip + ip->ihl * 4;
    if ((void *)(tcp + 1) > end)
        return XDP_PASS;
    if (ip->daddr == SERVICE) {
        struct flow key = {ip->saddr, bpf_ntohs(tcp->source)};
        __u64 *known = bpf_map_lookup_elem(&flows, &key), backend = known ? *known : 0;
        if (!backend) {
            __u64 hash = ((__u64)ip->saddr + (__u64)key.port * 40503) * 2654435761ull >> 31;
            backend = 1 + (hash & 1);
            __u64 index = backend - 1, *up = bpf_map_lookup_elem(&healthy, &index);
            if (!up || !*up)
                backend = 3 - backend;
            bpf_map_update_elem(&flows, &key, &backend, BPF_ANY);
            __u64 *n = bpf_map_lookup_elem(&connections, &backend);
            if (n)
                ++*n;
            else {
                __u64 one = 1;
                bpf_map_update_elem(&connections, &backend, &one, BPF_NOEXIST);
            }
        }
        struct mac client;
        __builtin_memcpy(&client, eth->h_source, 6);
        __be32 from = ip->saddr, to = backend == 1 ? BACKEND_1 : BACKEND_2;
        bpf_map_update_elem(&clients, &from, &client, BPF_ANY);
        __builtin_memcpy(eth->h_source, eth->h_dest, 6);
        correct(&ip->check, ip->daddr, to);
        correct(&tcp->check, ip->daddr, to);
        ip->daddr = to;
        __builtin_memcpy(eth->h_dest, &backend_macs[backend != 1], 6);
        return XDP_TX;
    }
    if (ip->saddr == BACKEND_1 || ip->saddr == BACKEND_2) {
        __be32 to = ip->daddr, service = SERVICE;
        struct mac *client = bpf_map_lookup_elem(&clients, &to);
        if (!client)
            return XDP_PASS;
        correct(&ip->check, ip->saddr, service);
        correct(&tcp->check, ip->saddr, service);
        ip->saddr = service;
        __builtin_memcpy(eth->h_source, eth->h_dest, 6);
        __builtin_memcpy(eth->h_dest, client, 6);
        return XDP_TX;
    }
    return XDP_PASS;
}
#elif defined(CASE_tc_top_talkers)
MAP(bytes, BPF_MAP_TYPE_PERCPU_HASH, __be32, __u64, 4096);

SEC("tc")
int packet(struct __sk_buff *skb) {
    struct iphdr *ip = find_ip((void *)(long)skb->data, (void *)(long)skb->data_end);
    if (!ip)
        return TC_ACT_UNSPEC;
    __be32 key = ip->saddr;
    __u64 *n = bpf_map_lookup_elem(&bytes, &key);
    if (n)
        *n += skb->len;
    else {
        __u64 first = skb->len;
        bpf_map_update_elem(&bytes, &key, &first, BPF_NOEXIST);
    }
    return TC_ACT_UNSPEC;
}
#elif defined(CASE_tc_rate_limit)
#define RATE 1000000000ull
#define SECOND 1000000000ull
MAP(bucket, BPF_MAP_TYPE_LRU_HASH, __be32, __u64, 65536);
MAP(dropped, BPF_MAP_TYPE_PERCPU_HASH, __be32, __u64, 4096);

SEC("tc")
int packet(struct __sk_buff *skb) {
    struct iphdr *ip = find_ip((void *)(long)skb->data, (void *)(long)skb->data_end);
    if (!ip)
        return TC_ACT_UNSPEC;
    __be32 key = ip->daddr;
    __u64 now = bpf_ktime_get_ns(), full = now, *was = bpf_map_lookup_elem(&bucket, &key);
    if (was && *was > now)
        full = *was;
    full += skb->len * SECOND / RATE;
    if (full <= now + SECOND) {
        bpf_map_update_elem(&bucket, &key, &full, BPF_ANY);
        return TC_ACT_UNSPEC;
    }
    __u64 *n = bpf_map_lookup_elem(&dropped, &key);
    if (n)
        ++*n;
    else {
        __u64 one = 1;
        bpf_map_update_elem(&dropped, &key, &one, BPF_NOEXIST);
    }
    return TC_ACT_SHOT;
}
#endif
