#!/usr/bin/perl
# First program of the test's virtual machine: runs each scenario in a container as Kata's agent makes them (a mount namespace with its
# root moved, cgroup, unprivileged user, no new privileges, no capabilities), and says on the second serial line how it ended.
# Numbers are those of x86_64.
my ($MOUNT, $UNSHARE, $PRCTL, $CHROOT, $REBOOT) = (165, 272, 157, 161, 169);
my ($BIND_REC, $MOVE, $PRIVATE_REC, $READ_ONLY) = (0x5000, 0x2000, 0x44000, 0x1021);
my ($NEWNS, $CAPBSET_DROP, $NO_NEW_PRIVS) = (0x20000, 24, 38);
my $UID = 10001;
$ENV{PATH} = '/usr/local/bin:/usr/bin';

mkdir $_ for qw(/proc /sys /dev /c);
mount('proc', '/proc');
mount('devtmpfs', '/dev');
mkdir '/dev/shm';
mount('sysfs', '/sys');
mount('cgroup2', '/sys/fs/cgroup');
say_to('/sys/fs/cgroup/cgroup.subtree_control', '+memory');
socket(my $any, 2, 2, 0);
my $loopback = pack('a16 s x22', 'lo', 1); # IFF_UP
ioctl($any, 0x8914, $loopback) or die "lo: $!"; # SIOCSIFFLAGS
open(my $line, '>', '/dev/ttyS1') or die "ttyS1: $!";
select((select($line), $| = 1)[0]);
for (split /\n/, slurp('/scenarios')) {
    my ($name, $memory, $sysctl, $guarded, $environment, @words) = split / /;
    my @limit = unhex($sysctl) =~ /(.+)=(.+)/;
    my $before = @limit ? slurp($limit[0]) : undef;
    say_to(@limit) if @limit;
    my ($status, $out) = contain($memory, $guarded, { map { split /=/, $_, 2 } split /\n/, unhex($environment) }, map { unhex($_) } @words);
    say_to($limit[0], $before) if @limit;
    print $line join(' ', 'ENDED', $name, $status, hex_of($out)), "\n";
}
print $line "DONE\n";
sleep 1; # the line is read by then
syscall($REBOOT, 0xfee1dead, 672274793, 0x1234567);

sub contain {
    my ($memory, $guarded, $environment, @command) = @_;
    my $group = '/sys/fs/cgroup/container' . ++$count;
    mkdir $group;
    say_to("$group/memory.max", $memory) if $memory > 0;
    pipe(my $from, my $to);
    my $child = fork;
    if ($child == 0) {
        close $from;
        open(STDOUT, '>&', $to);
        open(STDERR, '>&', $to);
        open(STDIN, '<', '/dev/null');
        say_to("$group/cgroup.procs", $$);
        syscall($UNSHARE, $NEWNS) == 0 or die "unshare: $!";
        my ($none, $root, $here, $null) = ('none', '/', '/c', "\0");
        syscall($MOUNT, $none, $root, $null, $PRIVATE_REC, $null) == 0 or die "private: $!";
        syscall($MOUNT, $root, $here, $null, $BIND_REC, $null) == 0 or die "bind: $!";
        chdir '/c';
        syscall($MOUNT, $here, $root, $null, $MOVE, $null) == 0 or die "move: $!";
        my $dot = '.';
        syscall($CHROOT, $dot) == 0 or die "chroot: $!";
        syscall($MOUNT, $none, $root, $null, $READ_ONLY, $null) == 0 or die "read only: $!";
        chdir '/function';
        syscall($PRCTL, $CAPBSET_DROP, $_, 0, 0, 0) for 0 .. 63;
        $( = $) = "$UID $UID";
        $< = $> = $UID;
        syscall($PRCTL, $NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "no new privileges: $!";
        refuse_namespaces() if $guarded;
        %ENV = (PATH => $ENV{PATH}, %$environment);
        exec { $command[0] } @command or die "$command[0]: $!";
    }
    close $to;
    my $out = do { local $/; <$from> };
    waitpid $child, 0;
    my $status = $? & 127 ? 'signal' . ($? & 127) : $? >> 8;
    $status = 'oom' if slurp("$group/memory.events") =~ /^oom_kill [1-9]/m;
    return ($status, $out);
}

# What a container runtime's default profile says to `unshare` (272), where the guest's agent applies it.
sub refuse_namespaces {
    my $code = join '', map { pack('S C C L', @$_) } [0x20, 0, 0, 0], [0x15, 0, 1, 272], [0x06, 0, 0, 0x00050001], [0x06, 0, 0, 0x7fff0000];
    my $filter = pack('S x6 P', 4, $code);
    syscall($PRCTL, 22, 2, $filter) == 0 or die "seccomp: $!";
}

sub mount {
    my ($type, $path) = @_;
    my $null = "\0";
    syscall($MOUNT, $type, $path, $type, 0, $null) == 0 or die "mount $path: $!";
}
sub say_to { my ($file, $text) = @_; open(my $out, '>', $file) or die "$file: $!"; print $out $text; close($out) or die "$file: $!"; }
sub slurp { open(my $in, '<', $_[0]) or die "$_[0]: $!"; local $/; return <$in>; }
sub unhex { return pack('H*', $_[0] eq '-' ? '' : $_[0]); }
sub hex_of { return unpack('H*', $_[0]) || '-'; }
