import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** TODO markers show the gaps. TASK.txt says what the program must do. Run it with: java Main.java */
public class Main {
    static final Map<String, String> ENV = System.getenv();

    static Producer<String, String> producer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", ENV.get("LAB_BOOTSTRAP"));
        // Java's producer is idempotent and partitions with murmur2 by default.
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", ENV.get("LAB_BOOTSTRAP"));
        settings.put("group.id", ENV.get("LAB_GROUP"));
        settings.put("session.timeout.ms", ENV.get("LAB_SESSION_MS"));
        settings.put("heartbeat.interval.ms", "1000");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        KafkaConsumer<String, String> consumer =
            new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        // The hook runs at SIGTERM: it wakes poll(), and waits until main has closed its clients.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try { main.join(9000); } catch (InterruptedException late) { }
        }));
        try (Producer<String, String> producer = producer()) {
            consumer.subscribe(List.of(ENV.get("LAB_INPUT")));
            while (true) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                    // TODO: send a copy of the record to LAB_OUTPUT.
                }
                // TODO: when may you commit? Afterwards: consumer.commitSync(). A rebalance may have taken the partitions
                // away (CommitFailedException, RebalanceInProgressException): that must not end the program.
            }
        } catch (WakeupException stop) {
            // SIGTERM
        } finally {
            consumer.close();
        }
    }
}
