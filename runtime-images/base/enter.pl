# First program of a pod's sandbox: mounts its writable folders, each with its size, bounds what runs later, and becomes what its arguments
# name. As volumes the kubelet would mount them, and every start would wait for its next look, 300 ms; in Kata they would be as large as the
# virtual machine. Perl, because a user namespace needs a process of one thread and every Debian base has it. What it becomes has no
# capability in that namespace, nor can it get one. Numbers are those of x86_64.
#   FNCTL_MOUNTS   `PATH=BYTES ...`; absent: nothing is mounted
#   FNCTL_PIDS     most processes and threads at a time; absent: as many as the sandbox allows
#   FNCTL_SECCOMP  `on`: only the system calls below, for a kernel that nobody else guards; gVisor's is the Sentry, which is one
# Where its sandbox does not let it, it ends with a code that says what (the contract's ENTER_EXITS).
$SIG{TERM} = sub { exit 0 }; # a container's first process is not ended by a signal that it does not handle
my ($BAD, $NO_NAMESPACE, $NO_MOUNT, $NO_LIMIT, $NO_FILTER) = (100 .. 104);
my ($EPERM, $EINVAL, $ENOSYS) = (1, 22, 38);
my ($CLONE, $MOUNT, $UNSHARE, $PRCTL, $SETRLIMIT, $CLONE3) = (56, 165, 272, 157, 160, 435);
my ($SOCKET, $IOCTL, $PERSONALITY) = (41, 16, 135);
my ($NEWUSER_NEWNS, $NOSUID_NODEV, $RLIMIT_NPROC) = (0x10020000, 6, 6);
my ($SET_SECCOMP, $CAPBSET_DROP, $SET_NO_NEW_PRIVS) = (22, 24, 38);

# System calls of an unprivileged program (as in the default profiles of container runtimes, and narrower); what lies between is refused.
my @ALLOWED = (
    [0,   100],    # read .. times
    [102, 102],    # getuid                         not ptrace, syslog
    [104, 133],    # getgid .. mknod                not uselib
    [137, 138],    # statfs, fstatfs                not ustat, sysfs; personality: see below
    [140, 152],    # getpriority .. munlockall      not vhangup, modify_ldt, pivot_root, _sysctl
    [157, 158],    # prctl, arch_prctl              not adjtimex
    [160, 160],    # setrlimit                      not chroot
    [162, 162],    # sync                           not acct, mount, swapon, reboot, iopl, init_module, quotactl ...
    [186, 204],    # gettid .. sched_getaffinity    not set_thread_area
    [206, 210],    # io_setup .. io_cancel          not get_thread_area, lookup_dcookie
    [213, 213],    # epoll_create
    [216, 226],    # remap_file_pages .. timer_delete    not clock_settime
    [228, 235],    # clock_gettime .. utimes        not vserver, mbind, set_mempolicy, get_mempolicy
    [240, 245],    # mq_open .. mq_getsetattr       not kexec_load
    [247, 247],    # waitid                         not add_key, request_key, keyctl
    [251, 255],    # ioprio_set .. inotify_rm_watch not migrate_pages
    [257, 271],    # openat .. ppoll                not unshare
    [273, 278],    # set_robust_list .. vmsplice    not move_pages
    [280, 297],    # utimensat .. rt_tgsigqueueinfo not perf_event_open
    [299, 299],    # recvmmsg                       not fanotify_init, fanotify_mark
    [302, 302],    # prlimit64                      not name_to_handle_at, open_by_handle_at, clock_adjtime
    [306, 307],    # syncfs, sendmmsg               not setns
    [309, 309],    # getcpu                         not process_vm_readv, process_vm_writev, kcmp, finit_module
    [314, 319],    # sched_setattr .. memfd_create  not kexec_file_load, bpf
    [322, 322],    # execveat                       not userfaultfd
    [324, 334],    # membarrier .. rseq
    [424, 424],    # pidfd_send_signal              not io_uring_*, open_tree .. fspick
    [434, 434],    # pidfd_open                     clone3: see below
    [436, 437],    # close_range, openat2           not pidfd_getfd
    [439, 439],    # faccessat2                     not process_madvise
    [441, 441],    # epoll_pwait2                   not mount_setattr, quotactl_fd
    [444, 446],    # landlock_*                     not memfd_secret, process_mrelease
    [449, 449],    # futex_waitv                    not set_mempolicy_home_node
    [451, 456],    # cachestat .. futex_requeue     not statmount .. lsm_list_modules
    [462, 466],    # mseal, setxattrat .. removexattrat
);

my ($mounts, $pids, $seccomp) = delete @ENV{qw(FNCTL_MOUNTS FNCTL_PIDS FNCTL_SECCOMP)};
mount_all($mounts) if defined $mounts;
limit_processes($pids) if defined $pids;
filter_calls() if defined $seccomp;
exec { $ARGV[0] } @ARGV or refuse($BAD, $ARGV[0]);

sub mount_all {
    my ($uid, $gid, $here) = ($> + 0, $) + 0, readlink '/proc/self/cwd');
    syscall($UNSHARE, $NEWUSER_NEWNS) == 0 or refuse($NO_NAMESPACE, 'unshare');
    say_to('/proc/self/setgroups', 'deny');
    say_to('/proc/self/uid_map', "$uid $uid 1");
    say_to('/proc/self/gid_map', "$gid $gid 1");
    for (split / /, $_[0]) {
        /^(\/[a-z\/]+)=([1-9][0-9]*)$/ or refuse($BAD, "FNCTL_MOUNTS: $_");
        # `syscall` takes strings that could be written to only.
        my ($tmpfs, $path, $options) = ('tmpfs', $1, "size=$2,mode=" . ($1 eq '/function' ? '0755' : '1777'));
        syscall($MOUNT, $tmpfs, $path, $tmpfs, $NOSUID_NODEV, $options) == 0 or refuse($NO_MOUNT, "mount $path");
    }
    chdir $here or refuse($BAD, $here); # where it was is below a mount now
    for (0 .. 63) {
        next if syscall($PRCTL, $CAPBSET_DROP, $_, 0, 0, 0) == 0;
        last if $_ > 0 && $! + 0 == $EINVAL; # there are no more
        refuse($NO_MOUNT, "drop capability $_");
    }
}

sub say_to {
    my ($file, $text) = @_;
    open(my $out, '>', $file) or refuse($NO_NAMESPACE, $file);
    print $out $text;
    close($out) or refuse($NO_NAMESPACE, $file);
}

sub limit_processes {
    $_[0] =~ /^[1-9][0-9]*$/ or refuse($BAD, 'FNCTL_PIDS');
    my $limit = pack('Q2', $_[0], $_[0]);
    syscall($SETRLIMIT, $RLIMIT_NPROC, $limit) == 0 or refuse($NO_LIMIT, 'setrlimit');
}

# A classic BPF program over struct seccomp_data (seccomp(2)): at 0 is the call's number, at 4 the architecture, from 16 on the low halves
# of its arguments, which are all that the kernel takes of those that are looked at here.
sub filter_calls {
    $seccomp eq 'on' or refuse($BAD, 'FNCTL_SECCOMP');
    my ($LOAD, $RETURN, $EQUAL, $ABOVE, $FROM, $ANY_BIT) = (0x20, 0x06, 0x15, 0x25, 0x35, 0x45);
    my ($X86_64, $KILL, $NO, $UNKNOWN, $YES) = (0xc000003e, 0x80000000, 0x00050000 | $EPERM, 0x00050000 | $ENOSYS, 0x7fff0000);
    my $NAMESPACES = 0x7e020000;                 # CLONE_NEW* of clone(2)
    my ($FIRST, $SECOND, $THIRD) = (16, 24, 32); # arguments
    # [operation, instructions to skip when it is so, when it is not, value]
    my $one_of = sub { my ($verdict, @values) = @_; map { ([$EQUAL, 0, 1, $_], [$RETURN, 0, 0, $verdict]) } @values };
    # Code for one call alone; it ends with a verdict.
    my $only = sub { my ($call, @code) = @_; ([$EQUAL, 0, scalar @code, $call], @code) };
    my @program = (
        [$LOAD, 0, 0, 4], [$EQUAL, 1, 0, $X86_64], [$RETURN, 0, 0, $KILL],
        [$LOAD, 0, 0, 0],
        $only->($CLONE, [$LOAD, 0, 0, $FIRST], [$ANY_BIT, 0, 1, $NAMESPACES], [$RETURN, 0, 0, $NO], [$RETURN, 0, 0, $YES]),
        $only->($CLONE3, [$RETURN, 0, 0, $UNKNOWN]), # its flags lie in memory, where no filter sees them; libraries go on with clone
        # Unix, IPv4, IPv6, and of netlink (16) the part by which a program learns its own addresses. AF_VSOCK leads to the host.
        $only->(
            $SOCKET, [$LOAD, 0, 0, $FIRST], $one_of->($YES, 1, 2, 10),
            [$EQUAL, 0, 3, 16], [$LOAD, 0, 0, $THIRD], $one_of->($YES, 0), [$RETURN, 0, 0, $NO],
        ),
        $only->($PERSONALITY, [$LOAD, 0, 0, $FIRST], $one_of->($YES, 0, 8, 0x20000, 0x20008, 0xffffffff), [$RETURN, 0, 0, $NO]),
        # TIOCSTI and TIOCLINUX type into a terminal.
        $only->($IOCTL, [$LOAD, 0, 0, $SECOND], $one_of->($NO, 0x5412, 0x541c), [$RETURN, 0, 0, $YES]),
        # In rising order: what is below a range and was in none before is refused.
        (map { ([$FROM, 1, 0, $_->[0]], [$RETURN, 0, 0, $NO], [$ABOVE, 1, 0, $_->[1]], [$RETURN, 0, 0, $YES]) } @ALLOWED),
        [$RETURN, 0, 0, $UNKNOWN], # newer than all of these: libraries go on without
    );
    my $code = join '', map { pack('S C C L', @$_) } @program;
    my $filter = pack('S x6 P', scalar @program, $code);
    syscall($PRCTL, $SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or refuse($NO_FILTER, 'no new privileges');
    syscall($PRCTL, $SET_SECCOMP, 2, $filter) == 0 or refuse($NO_FILTER, 'seccomp');
}

sub refuse {
    my ($code, $what) = @_;
    print STDERR "$what: $!\n";
    exit $code;
}
