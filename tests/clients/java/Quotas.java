// Client quotas through Apache Kafka's own administration client: `Quotas BOOTSTRAP` reads commands, a line each, and
// ends what it prints for each with a line ".". ENTITY is "user=alice+client-id": a type without a
// name is its default; FILTER is the same, and "client-id=*" is any name.
//   list FILTER STRICT                prints "entity<TAB>key<TAB>value"; FILTER "-" for none
//   alter ENTITY KEY=VALUE|KEY...     a KEY alone is removed
//   create TOPIC PARTITIONS           comes again when it is throttled; create-once does not
//   validate ENTITY KEY=VALUE|KEY...
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

public class Quotas {
    static Map<String, String> parts(String text) {
        Map<String, String> parts = new TreeMap<>();
        for (String part : text.equals("-") ? new String[0] : text.split("\\+")) {
            int equals = part.indexOf('=');
            parts.put(equals < 0 ? part : part.substring(0, equals), equals < 0 ? null : part.substring(equals + 1));
        }
        return parts;
    }

    static String text(ClientQuotaEntity entity) {
        List<String> parts = new ArrayList<>();
        new TreeMap<>(entity.entries()).forEach((type, name) -> parts.add(name == null ? type : type + "=" + name));
        return String.join("+", parts);
    }

    static ClientQuotaFilterComponent condition(String type, String name) {
        if (name == null) return ClientQuotaFilterComponent.ofDefaultEntity(type);
        return name.equals("*") ? ClientQuotaFilterComponent.ofEntityType(type)
                                : ClientQuotaFilterComponent.ofEntity(type, name);
    }

    static void list(Admin admin, String filter, boolean isStrict) throws Exception {
        List<ClientQuotaFilterComponent> conditions = new ArrayList<>();
        parts(filter).forEach((type, name) -> conditions.add(condition(type, name)));
        ClientQuotaFilter wanted =
            isStrict ? ClientQuotaFilter.containsOnly(conditions) : ClientQuotaFilter.contains(conditions);
        Map<String, Map<String, Double>> found = new TreeMap<>();
        admin.describeClientQuotas(wanted).entities().get().forEach((entity, values) ->
            found.put(text(entity), new TreeMap<>(values)));
        found.forEach((entity, values) ->
            values.forEach((key, value) -> System.out.println(entity + "\t" + key + "\t" + value)));
    }

    static void alter(Admin admin, String[] args, boolean validates) throws Exception {
        List<ClientQuotaAlteration.Op> operations = new ArrayList<>();
        for (int i = 2; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            operations.add(equals < 0 ? new ClientQuotaAlteration.Op(args[i], null)
                : new ClientQuotaAlteration.Op(args[i].substring(0, equals),
                                               Double.valueOf(args[i].substring(equals + 1))));
        }
        ClientQuotaAlteration change = new ClientQuotaAlteration(new ClientQuotaEntity(parts(args[1])), operations);
        admin.alterClientQuotas(List.of(change), new AlterClientQuotasOptions().validateOnly(validates)).all().get();
    }

    static void create(Admin admin, String topic, int partitions, boolean comesAgain) throws Exception {
        NewTopic wanted = new NewTopic(topic, partitions, (short) 1);
        var options = new CreateTopicsOptions().retryOnQuotaViolation(comesAgain);
        admin.createTopics(List.of(wanted), options).all().get();
    }

    public static void main(String[] args) throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                String[] words = line.split(" ");
                try {
                    if (words[0].equals("list")) {
                        list(admin, words[1], words[2].equals("true"));
                    } else if (words[0].startsWith("create")) {
                        create(admin, words[1], Integer.parseInt(words[2]), words[0].equals("create"));
                    } else {
                        alter(admin, words, words[0].equals("validate"));
                    }
                } catch (ExecutionException e) {
                    System.out.println(e.getCause().getClass().getSimpleName());
                }
                System.out.println(".");
            }
        }
    }
}
