# Names that lead out of a function's sandbox, for any client library. There is no network inside but loopback: a resolver on 127.0.0.1:53 asks
# the egress proxy for each name, gives an allowed one a loopback address of its own, and what connects there is carried to the proxy by
# CONNECT. It decides nothing, knows no rules (they may change), and belongs to the function, which may end it. A process of its own, because a handler that waits for a
# connection may be the whole of its own process; Perl without modules, because every Debian base has it. Numbers are those of Linux on x86_64.
#   first argument path of the egress proxy's socket; in a pod its `host:port`
#   second one     in a pod, seconds until a new credential is asked for; absent: 900, a third of what one lasts
#   standard output a line when it listens
#   standard input in a pod a line, the credential that the proxy knows this sandbox by. Its end ends this program, so it ends with whoever started it
#   standard error a line for the function's log, once for each name or target that is refused, with the time of CLOCK_MONOTONIC before it
my ($INET, $STREAM, $DGRAM) = (2, 1, 2);
my ($SOL_SOCKET, $REUSEADDR, $LINGER, $TCP, $NODELAY) = (1, 2, 13, 6, 1);
my ($SETFL, $NONBLOCK, $EINTR, $EAGAIN) = (4, 2048, 4, 11);
my ($SYS_POLL, $POLLHUP) = (7, 16);
my ($TYPE_A, $CLASS_IN, $SERVFAIL, $NXDOMAIN, $NOTIMP) = (1, 1, 2, 3, 4);
my %RECORDS = (16 => "txt", 33 => "srv");    # types that are asked for outside
my ($TTL, $DATAGRAM, $HELD, $HEAD) = (60, 512, 64 * 1024, 16 * 1024);
my ($MOST_NAMES, $MOST_PAIRS, $MOST_LINES, $MOST_ASKED, $MOST_STREAMS) = (1000, 1000, 200, 64, 64);
my ($CLOCK_GETTIME, $MONOTONIC) = (228, 1);
my $FRESH = 1;    # an answer of the proxy's counts so many seconds; rules that change hold for whoever asks later
my $PROXY_PORT = 3128;

my (%answers, %asking, %known, %told, %reads, %writes, %handle);
my ($said, $rin, $win, $pairs, $asked, $number, $streams) = ("", "", "", 0, 0, 0, 0);
$SIG{PIPE} = "IGNORE";
require $0 =~ s{[^/]*$}{$_}r for "dns-message.pl", "way-to-proxy.pl";
way_to(@ARGV);

my $resolver = bound($DGRAM, "127.0.0.1", 53) or exit 1;
on_read($resolver, sub {
    my $peer = recv($resolver, my $query, $DATAGRAM, 0);
    answer_query($query, $DATAGRAM, sub { send $resolver, $_[0], 0, $peer }) if defined $peer;
});
my $stream = bound($STREAM, "127.0.0.1", 53) or exit 1;
on_read($stream, \&accept_questions);
my $door = bound($STREAM, "127.0.0.1", $PROXY_PORT) or exit 1;
on_read($door, sub { accept_pair($door, undef) });
on_read(\*STDIN, \&read_input);
syswrite(STDOUT, "ready\n");
close STDOUT;
while (1) {
    my ($r, $w) = ($rin, $win);
    my $found = select($r, $w, undef, pause());
    look_at_the_clock();
    next if $found <= 0;
    read_input() if vec($r, fileno(STDIN), 1);    # before whatever is said by its credential
    vec($r, fileno(STDIN), 1) = 0;
    for my $fd (keys %writes) { $writes{$fd}->() if vec($w, $fd, 1) and $writes{$fd} }
    for my $fd (keys %reads) { $reads{$fd}->() if vec($r, $fd, 1) and $reads{$fd} }
}

sub read_input {
    my $count = sysread(STDIN, $said, 65536, length $said);
    exit 0 if defined $count ? !$count : ($! != $EINTR and $! != $EAGAIN);
    take_credential($1) if $said =~ s/^([A-Za-z0-9_.-]+)\n//;
    $said = "" if length $said > $HEAD;
}

# --- Names

# Its own address, where its ports are listened on from now on; undefined: none could be. An address is never another name's later.
sub address_of {
    my ($name, @all) = @_;
    forget_oldest() if !$known{$name} and keys %known >= $MOST_NAMES;
    my $own = $known{$name} ||= { ip => next_address(), listeners => {} };
    $own->{asked} = ++$asked;
    for my $port (@all) {
        next if $own->{listeners}{$port};
        my $listener = bound($STREAM, $own->{ip}, $port);
        if (!$listener) {
            say_once("$name:$port cannot be reached: something in the function listens on all addresses with port $port.");
            next;
        }
        on_read($listener, sub { accept_pair($listener, "$name:$port") });
        $own->{listeners}{$port} = $listener;
    }
    return %{ $own->{listeners} } ? $own->{ip} : undef;
}
sub next_address {
    $number++;
    return sprintf "127.%d.%d.%d", 1 + ($number >> 16) % 250, ($number >> 8) & 255, $number & 255;
}

# The name that was asked for longest ago; its connections go on.
sub forget_oldest {
    my $oldest;
    for my $name (keys %known) { $oldest = $name if !defined $oldest or $known{$name}{asked} < $known{$oldest}{asked} }
    for my $listener (values %{ (delete $known{$oldest})->{listeners} }) { off_read($listener); close $listener }
}

# What is too long for a datagram is asked for again here (RFC 7766): each message behind its length, until whoever asks closes.
sub accept_questions {
    accept(my $client, $stream) or return;
    return if $streams >= $MOST_STREAMS;
    $streams++;
    fcntl($client, $SETFL, $NONBLOCK);
    my $held = "";
    my $close = sub { return if !fileno $client; off_read($client); close $client; $streams-- };
    # Whoever does not read its answers gets no more of them.
    my $reply = sub { $close->() if fileno $client and (syswrite($client, pack "n/a*", $_[0]) || 0) != 2 + length $_[0] };
    on_read($client, sub {
        my $count = sysread($client, $held, 65536, length $held);
        return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
        return $close->() if !$count;
        while (length $held >= 2 and length $held >= 2 + unpack "n", $held) {
            my $query = unpack "n/a", $held;
            substr($held, 0, 2 + length $query, "");
            answer_query($query, 65535, $reply);
        }
    });
}

# An answer holds as many records as fit into `$room` bytes.
sub answer_query {
    my ($message, $room, $reply) = @_;
    my $query = read_query($message) or return;
    my $kind = $query->{class} == $CLASS_IN && $RECORDS{ $query->{type} } || "names";
    ask("$kind/$query->{name}", sub {
        my ($code, @data) = $kind eq "names" ? resolve($query, @_) : records(@_);
        $reply->(write_answer($query, $code, $TTL, $room, @data));
    });
}

# `@all`: the ports that the proxy gave; an undefined one: it could not be asked. An answer's code, and its data.
sub resolve {
    my ($query, @all) = @_;
    return $NXDOMAIN if !@all;
    return $SERVFAIL if !defined $all[0];
    return $NOTIMP if $query->{class} != $CLASS_IN;
    return 0 if $query->{type} != $TYPE_A;    # the name exists, and has nothing of this type (RFC 2308 section 2.2)
    my $ip = address_of($query->{name}, @all);
    return $ip ? (0, pack "C4", split /\./, $ip) : $SERVFAIL;
}
# `@all`: "ok" and the data of records.
sub records {
    my ($ok, @data) = @_;
    return $NXDOMAIN if !@_;
    return defined $ok ? (0, map { pack "H*", $_ } @data) : $SERVFAIL;
}

# Asks the proxy for a name's ports or records, `kind/name`; who asks for the same meanwhile gets the same answer, and where there is none the last one counts.
sub ask {
    my ($name, $answered) = @_;
    my $fresh = $answers{$name};
    return $answered->(@{ $fresh->{ports} }) if $fresh and time - $fresh->{at} < $FRESH;
    return push @{ $asking{$name} }, $answered if $asking{$name};
    return if keys %asking >= $MOST_ASKED;    # whoever asked asks again
    return $answered->() if $name !~ m{^[a-z]+/[a-z0-9_.-]{1,253}$};
    $asking{$name} = [$answered];
    open_proxy("GET /$name HTTP/1.0\r\n" . who() . "\r\n", sub {
        my ($proxy) = @_;
        return tell_all($name, $fresh ? @{ $fresh->{ports} } : undef) if !$proxy;    # it begins again; what connects is judged by it anyway
        my $text = "";
        on_read($proxy, sub { read_ports($proxy, $name, \$text) });
    });
}
sub tell_all {
    my ($name, @ports) = @_;
    $_->(@ports) for @{ delete $asking{$name} };
}
sub read_ports {
    my ($proxy, $name, $text) = @_;
    my $count = sysread($proxy, $$text, $HEAD, length $$text);
    return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
    return if $count and length $$text < $HEAD;
    off_read($proxy);
    close $proxy;
    my ($status, $body) = $$text =~ m{^HTTP/1\.[01] (\d{3}).*?\r\n\r\n(.*)$}s;
    my @ports = (undef);
    if (($status || "") eq "200" and $name !~ m{^names/}) { @ports = ("ok", split /\n/, $body) }
    elsif (($status || "") eq "200") { @ports = grep { $_ > 0 and $_ < 65536 } $body =~ /(\d{1,5})/g }
    elsif (($status || "") eq "403") { @ports = (); say_once(reason_in($body)) }
    else { say_once(reason_in($body) || substr($name, 1 + index $name, "/") . ": the egress proxy does not answer.") }
    %answers = () if keys %answers >= $MOST_NAMES and !$answers{$name};
    if (!@ports or defined $ports[0]) { $answers{$name} = { at => time, ports => \@ports } }
    elsif ($answers{$name}) { @ports = @{ $answers{$name}{ports} } }
    tell_all($name, @ports);
}

# The reason in a problem document of the proxy's, and what to do; empty: there is none.
sub reason_in {
    my ($detail) = $_[0] =~ /"detail":"((?:[^"\\]|\\.)*)"/;
    my ($hint) = $_[0] =~ /"hint":"((?:[^"\\]|\\.)*)"/;
    return join " ", $detail || (), $hint || ();
}

# --- Connections

# `$target` undefined: the client speaks to the proxy itself.
sub accept_pair {
    my ($listener, $target) = @_;
    accept(my $client, $listener) or return;
    return if $pairs >= $MOST_PAIRS;
    fcntl($client, $SETFL, $NONBLOCK);
    setsockopt($client, $TCP, $NODELAY, 1);
    $pairs++;
    my $hello = defined $target ? "CONNECT $target HTTP/1.1\r\nhost: $target\r\n" . who() . "\r\n" : "";
    open_proxy($hello, sub {
        my ($proxy) = @_;
        if (!$proxy) { $pairs--; return reset_client($client) }
        my $pair = { ends => [$client, $proxy], held => ["", ""], done => [0, 0] };
        if (!defined $target) {
            ($pair->{is_new}, $pair->{greet}) = (1, who());
            pump($pair, $_) for 0, 1;
            return;
        }
        $pair->{target} = $target;
        my $answer = "";
        on_read($proxy, sub { read_answer($pair, $target, \$answer) });
    });
}

sub read_answer {
    my ($pair, $target, $answer) = @_;
    my ($client, $proxy) = @{ $pair->{ends} };
    my $count = sysread($proxy, $$answer, $HEAD, length $$answer);
    return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
    my $is_whole = $$answer =~ /\r\n\r\n/;
    if ($is_whole and $$answer =~ m{^HTTP/1\.[01] 2\d\d.*?\r\n\r\n}s) {
        $pair->{held}[1] = substr $$answer, $+[0];
        off_read($proxy);
        pump($pair, $_) for 0, 1;
        return flush_held($pair, 1);
    }
    return if $count and length $$answer < $HEAD;    # the reason is still coming
    say_once(reason_in($$answer) || "$target: no connection to the egress proxy.");
    end_pair($pair);
}

# Carries what end $from says to the other one.
sub pump {
    my ($pair, $from) = @_;
    on_read($pair->{ends}[$from], sub { read_end($pair, $from) });
}
sub read_end {
    my ($pair, $from) = @_;
    my $count = sysread($pair->{ends}[$from], $pair->{held}[$from], 65536, length $pair->{held}[$from]);
    return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
    return end_pair($pair) if !defined $count or !$count and $from == 1 and is_broken($pair);
    # Whoever speaks to the proxy itself need not know the credential: it is put behind the first line.
    if ($from == 0 and $pair->{greet}) {
        return if $count and $pair->{held}[0] !~ s/\r\n/\r\n$pair->{greet}/ and length $pair->{held}[0] < $HEAD;
        $pair->{greet} = "";
    }
    if ($count == 0) {
        $pair->{done}[$from] = 1;
        off_read($pair->{ends}[$from]);
    }
    tell_refusal($pair) if $from == 1 and delete $pair->{is_new};
    flush_held($pair, $from);
}

# Whether the proxy has closed a Unix socket, and not only shut it for writing, before the client had ended: so it does with a connection that was
# broken off, and so its end looks when it is killed. A socket of TCP tells it by a reset, and in plain HTTP the answer says how long it is.
sub is_broken {
    my ($pair) = @_;
    return 0 if !$pair->{target} or $pair->{done}[0];
    my $poll = pack "iss", fileno $pair->{ends}[1], 0, 0;
    syscall $SYS_POLL, $poll, 1, 0;
    return (unpack "iss", $poll)[2] & $POLLHUP;
}

# What the proxy itself refuses it marks so (RFC 9209), and lets no other server's answer bear that mark.
sub tell_refusal {
    my ($pair) = @_;
    say_once(reason_in($pair->{held}[1])) if $pair->{held}[1] =~ m{^HTTP/1\.[01] [45](?:(?!\r\n\r\n).)*?\r\nproxy-status: fnctl;}s;
}
sub flush_held {
    my ($pair, $from) = @_;
    my $held = \$pair->{held}[$from];
    my ($source, $target) = @{ $pair->{ends} }[$from, 1 - $from];
    if (length $$held) {
        my $count = syswrite($target, $$held);
        return end_pair($pair) if !defined $count and $! != $EAGAIN and $! != $EINTR;
        substr($$held, 0, $count, "") if $count;
    }
    if (length $$held) {
        on_write($target, sub { flush_held($pair, $from) });
        off_read($source) if length $$held >= $HELD;
        return;
    }
    off_write($target);
    return pump($pair, $from) if !$pair->{done}[$from];
    shutdown($target, 1);
    end_pair($pair) if $pair->{done}[1 - $from] and !length $pair->{held}[1 - $from];
}

# The client sees a reset where its connection was not carried to its end.
sub end_pair {
    my ($pair) = @_;
    return if !$pair->{ends};
    my ($client, $proxy) = @{ delete $pair->{ends} };
    for ($client, $proxy) { off_read($_); off_write($_) }
    reset_client($client) if !($pair->{done}[0] and $pair->{done}[1]);
    close $proxy;
    close $client;
    $pairs--;
}
sub reset_client { setsockopt($_[0], $SOL_SOCKET, $LINGER, pack "ii", 1, 0); close $_[0] }

# --- Sockets

sub bound {
    my ($type, $ip, $port) = @_;
    socket(my $socket, $INET, $type, 0) or return undef;
    setsockopt($socket, $SOL_SOCKET, $REUSEADDR, 1) if $type == $STREAM;
    bind($socket, pack("SnC4x8", $INET, $port, split /\./, $ip)) or return undef;
    listen($socket, 128) or return undef if $type == $STREAM;
    fcntl($socket, $SETFL, $NONBLOCK);
    return $socket;
}
sub on_read  { my $fd = fileno $_[0]; $handle{$fd} = $_[0]; $reads{$fd} = $_[1]; vec($rin, $fd, 1) = 1 }
sub on_write { my $fd = fileno $_[0]; $writes{$fd} = $_[1]; vec($win, $fd, 1) = 1 }
sub off_read  { my $fd = fileno $_[0]; delete $reads{$fd}; delete $handle{$fd}; vec($rin, $fd, 1) = 0 }
sub off_write { my $fd = fileno $_[0]; delete $writes{$fd}; vec($win, $fd, 1) = 0 }

sub say_once {
    my ($line) = @_;
    return if keys %told >= $MOST_LINES or $told{$line}++;
    $line =~ s/[^\x20-\x7e]/?/g;
    # When it was: whoever reads it knows which request ran then.
    my $now = "\0" x 16;
    syscall($CLOCK_GETTIME, $MONOTONIC, $now);
    syswrite(STDERR, sprintf("%d.%09d egress: %s\n", unpack("q2", $now), $line));
}
