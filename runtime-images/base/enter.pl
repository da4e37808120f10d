# First program of a pod's sandbox: mounts its writable folders, each with its size, and becomes what its arguments name. As volumes the
# kubelet would mount them, and every start would wait for its next look, 300 ms; in Kata they would be as large as the virtual machine.
# Perl, because a user namespace needs a process of one thread and every Debian base has it. What it becomes has no capability in that
# namespace, nor can it get one. Numbers are those of x86_64.
#   FNCTL_MOUNTS   `PATH=BYTES ...`; absent: nothing is mounted
# Where its sandbox does not let it, it ends with a code that says what (the contract's ENTER_EXITS).
my ($BAD, $NO_NAMESPACE, $NO_MOUNT) = (100 .. 102);
$SIG{TERM} = sub { exit 0 }; # a container's first process is not ended by a signal that it does not handle
my ($UNSHARE, $MOUNT, $PRCTL) = (272, 165, 157);
my ($NEWUSER_NEWNS, $NOSUID_NODEV, $CAPBSET_DROP, $EINVAL) = (0x10020000, 6, 24, 22);

my $mounts = delete $ENV{FNCTL_MOUNTS};
mount_all($mounts) if defined $mounts;
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

sub refuse {
    my ($code, $what) = @_;
    print STDERR "$what: $!\n";
    exit $code;
}
